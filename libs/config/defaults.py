"""The models that a client begins with, before its user has chosen one."""

from libs.config.section import Section


class Defaults(Section):
    """Served as ``GET /api/defaults``. None: the first model of the configuration, the first free one."""

    model: str | None = None
    free_model: str | None = None
    """For those without a key."""

    @property
    def models(self) -> set[str]:
        """Those that are named."""
        return {name for name in (self.model, self.free_model) if name is not None}
