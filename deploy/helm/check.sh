#!/bin/sh
# Lints, renders, tests and validates the chart. Builds helm and an environment for kubernetes-validate once, in .sluice/tools.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
tools="$root/.sluice/tools"
chart="$root/deploy/helm/sluice"
everything="keda.enabled=true,strimzi.topics=true,strimzi.users=true,otlpEndpoint=http://collector:4318,providerKeysSecret=keys"
everything="$everything,sinks.enabled=true,sinks.secret=sink-secrets,sinks.claim=files"

mkdir -p "$tools"
PATH="$tools:$PATH"
command -v helm >/dev/null || GOBIN="$tools" go install helm.sh/helm/v3/cmd/helm@v3.16.4
[ -x "$tools/validate/bin/kubernetes-validate" ] || {
    python3 -m venv "$tools/validate"
    "$tools/validate/bin/python" -m pip install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
}

helm lint "$chart"
(cd "$root" && ./sluice test tests/contracts/test_chart.py -q)
for values in image.tag=test "$everything"; do
    helm template sluice "$chart" --kube-version 1.31.0 --set "$values" >"$tools/rendered.yaml"
    for version in 1.31 1.37; do
        "$tools/validate/bin/kubernetes-validate" --strict --quiet --no-warn -k "$version" "$tools/rendered.yaml"
    done
done
echo "the chart is valid"
