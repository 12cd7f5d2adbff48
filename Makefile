# Serinus: what a person types. `make` alone lists the targets.

SHELL := bash
# A check that fails in a pipe fails the target.
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCAL := PYTHONPATH=deploy/local $(BIN)/python -m localcluster
# A short scrape interval makes a short demo and short tests; everything scales with it.
CLUSTER := $(LOCAL) run --scrape-interval 1s --
NEEDS_CLUSTER := tests/tools/localcluster tests/deploy/cluster tests/e2e tests/faults tests/integration/audit/test_cluster.py \
  $(addprefix tests/integration/,handlers kube mlflow registry/kubernetes routers web)
# A process for each core; the one that is done first takes over what the other has not begun.
PARALLEL := --numprocesses=auto --dist=worksteal
# Empty in the developer's loop: tests/conftest.py chooses how many examples of a property are drawn.
EXAMPLES :=
# Containers often forbid it; without it each process compiles all tests again, 4 s.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup check test test-unit test-contract explore test-programs test-cluster test-faults test-hostile test-page test-installed \
  soak test-versions demo demo-llm bench bench-scale bench-quick local-up local-down crds docs kustomize lock audit sbom clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## install everything that development needs into .venv

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Serinus needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: setup ## format, lint, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache | tail -n 8
	@rm -rf .generated && $(BIN)/python -m serinus.api.crd .generated/crds
	@$(BIN)/python tools/generate_api.py > .generated/api.md
	@$(BIN)/python tools/generate_state_diagram.py > .generated/state-diagram.md
	@$(BIN)/python tools/generate_metrics.py > .generated/metrics.md
	@$(BIN)/python tools/generate_commands.py > .generated/commands.md
	@$(BIN)/python tools/generate_dashboard.py > .generated/dashboard.json
	@PYTHONPATH=tests:deploy/local $(BIN)/python tools/generate_routers.py > .generated/routers.md
	@diff -r .generated/crds deploy/crds && diff -r .generated/crds deploy/helm/serinus/files/crds \
	  && diff .generated/api.md docs/reference/api.md && diff .generated/state-diagram.md docs/reference/state-diagram.md \
	  && diff .generated/metrics.md docs/reference/metrics.md && diff .generated/commands.md docs/reference/commands.md \
	  && diff .generated/routers.md docs/reference/routers.md && diff .generated/dashboard.json deploy/monitoring/dashboard.json \
	  && diff .generated/dashboard.json deploy/helm/serinus/files/dashboard.json \
	  && diff deploy/monitoring/alerts.yaml deploy/helm/serinus/files/alerts.yaml \
	  && rm -rf .generated || { echo "these files are not what the code says: make crds"; exit 1; }

test: EXAMPLES := --hypothesis-profile=ci
test: test-unit test-contract test-cluster ## all tests: unit, contract, integration, end to end, on real parts

test-unit: setup ## the developer's loop: tests that start no program
	$(BIN)/pytest $(EXAMPLES) $(PARALLEL) tests/unit

test-contract: test-programs ## the tests that start programs of their own: DynamoDB, S3, Prometheus, Envoy, Helm
	$(BIN)/pytest $(EXAMPLES) $(PARALLEL) $(patsubst %,--ignore=%,tests/unit tests/browser tests/installed $(NEEDS_CLUSTER)) tests

explore: setup ## every state of several small worlds around one Rollout, and the laws on each decision (10 minutes)
	PYTHONPATH=tests $(BIN)/python -m support.exploration

test-programs: setup ## fetch what the tests need beside the local cluster: DynamoDB Local, an MLflow server
	PYTHONPATH=deploy/local $(BIN)/python -m localcluster.programs.dynamodb --fetch
	PYTHONPATH=tests:deploy/local $(BIN)/python -m support.servers.mlflow_server

test-cluster: test-programs ## the tests on a real API server, gateway and Prometheus (started for them, gone afterwards)
	$(CLUSTER) $(BIN)/pytest $(EXAMPLES) $(wildcard $(NEEDS_CLUSTER))

test-faults: setup ## every call of a run disturbed, on a real API server: over 1,500 faults (15 minutes); writes .faults
	$(CONTROL_PLANE) -- env PYTHONPATH=tests:deploy/local $(BIN)/python -u -m support.faultpoints

# The chart on API servers that lack something: each line is what they serve of MutatingAdmissionPolicy, and how they are started.
CONTROL_PLANE := $(LOCAL) run --without gateway,prometheus,node
VERSIONS_TEST := $(BIN)/pytest tests/deploy/cluster/test_kubernetes_versions.py

test-versions: setup ## the chart on earlier versions of Kubernetes, as far as this one emulates them (two minutes)
	SERINUS_STAMP_VERSIONS= $(CONTROL_PLANE) --emulate 1.34 -- $(VERSIONS_TEST)
	SERINUS_STAMP_VERSIONS= $(CONTROL_PLANE) --emulate 1.35 -- $(VERSIONS_TEST)
	SERINUS_STAMP_VERSIONS=v1 $(CONTROL_PLANE) --emulate 1.36 -- $(VERSIONS_TEST)
	SERINUS_STAMP_VERSIONS=v1,v1beta1 $(CONTROL_PLANE) --api-server-flag=--runtime-config=admissionregistration.k8s.io/v1beta1=true \
	  -- $(VERSIONS_TEST)
	SERINUS_STAMP_VERSIONS=v1 SERINUS_STAMP_APPLIED=no $(CONTROL_PLANE) --api-server-flag=--feature-gates=MutatingAdmissionPolicy=false \
	  -- $(VERSIONS_TEST)

test-page: setup ## the page of serinus web in headless Chromium, held against axe-core: make test-page CHROMIUM=program AXE=axe.min.js
	CHROMIUM=$(or $(CHROMIUM),chromium) AXE=$(AXE) $(BIN)/pytest tests/browser

test-hostile: setup ## every field with every kind of bad value, against a real API server and operator (writes .hostile/result.json)
	PYTHONPATH=tests:deploy/local $(BIN)/python -m localcluster run --without node --scrape-interval 1s -- $(BIN)/python -m support.hostile

test-installed: setup ## what users install, run for real: image, real nodes, each right taken away, Argo CD, an upgrade (an hour the first time)
	PYTHONPATH=tests:deploy/local $(BIN)/python -m support.argo_cd.programs
	PYTHONPATH=tests:deploy/local $(BIN)/python -m support.image.base
	PYTHONPATH=tests:deploy/local $(BIN)/python -m support.realnode.programs
	$(BIN)/pytest --ignore=tests/installed/cluster --ignore=tests/installed/node tests/installed
	$(CLUSTER) $(BIN)/pytest tests/installed/cluster
	$(LOCAL) run --without node --scrape-interval 1s -- $(BIN)/pytest tests/installed/node

soak: setup ## a simulated week of 200 rollouts, judged from outside (40 minutes; writes .soak/result.json); SEED=2 for another one
	PYTHONHASHSEED=0 PYTHONPATH=tests $(BIN)/python -u -m support.soak --seed $(or $(SEED),1)

# In a cluster of yours: what is typed behind `make demo` alone counts. The environment has a KUBECONFIG for other reasons.
typed = $(if $(filter command,$(origin $1)),'--$2=$($1)')
ELSEWHERE := $(strip $(call typed,KUBECONFIG,kubeconfig) $(call typed,CONTEXT,context) $(call typed,GATEWAY,gateway) \
  $(call typed,GATEWAY_URL,gateway-url) $(call typed,PROMETHEUS,prometheus) $(call typed,PRESET,preset) \
  $(if $(filter command,$(origin OPTIONS)),$(OPTIONS)))

demo: setup ## watch a good version promoted and two bad ones rolled back, in a real local cluster or in that of KUBECONFIG=file
ifeq ($(ELSEWHERE),)
	$(CLUSTER) $(BIN)/python -m demo run
else ifeq ($(filter command,$(origin KUBECONFIG)),)
	@echo 'say make demo KUBECONFIG=file as well: that of the environment is not taken' >&2; exit 2
else
	PYTHONPATH=deploy/local $(BIN)/python -m demo cluster $(ELSEWHERE)
endif

demo-llm: setup ## watch a language model whose first token is slow lose its traffic, in a real local cluster
	$(CLUSTER) $(BIN)/python -m demo llm --folder .demo-llm

bench: setup bench-scale ## the figures of the README and of docs/performance.md, measured here (40 minutes)
	$(BIN)/python tests/benchmarks/decide_cost.py
	$(BIN)/python tests/benchmarks/metrics_tick.py
	$(BIN)/python tests/benchmarks/scrape_cost.py
	$(CLUSTER) $(BIN)/python tests/benchmarks/rollback_latency.py
	$(BIN)/python tests/benchmarks/registry_cost.py

# Each scenario in a cluster of its own, with stand-ins for the gateway and its series (tests/benchmarks/scale).
MEASURE := PYTHONPATH=operator:tests:deploy/local $(BIN)/python -m benchmarks.scale
SCALE := $(LOCAL) run --without gateway,node --scrape-interval 5s -- env $(MEASURE)

bench-scale: setup ## up to 10,000 rollouts, into .bench/result.json and docs/performance.md (30 minutes)
	$(LOCAL) build
	$(MEASURE) decide
	$(SCALE) run --rollouts 10
	$(SCALE) canary --rollouts 1000 --burst 1
	$(SCALE) rest --rollouts 1000
	$(SCALE) rest --rollouts 5000 --quiet
	$(SCALE) start --rollouts 5000 --sample 20 --quiet
	$(SCALE) rest --rollouts 10000 --quiet
	$(BIN)/python tools/generate_performance.py

bench-quick: setup ## the same with 100 rollouts, to see that it works (6 minutes)
	$(SCALE) run --rollouts 2
	$(SCALE) canary --rollouts 100 --sample 5 --seconds 20 --burst 1
	$(SCALE) rest --rollouts 100 --seconds 20
	$(SCALE) start --rollouts 100 --sample 5

local-up: setup ## start the local cluster and leave it running
	$(LOCAL) up

local-down: setup ## end the local cluster
	$(LOCAL) down

crds: setup ## write deploy/crds, the generated pages and the dashboard from the code
	$(BIN)/python -m serinus.api.crd deploy/crds
	cp deploy/crds/*.yaml deploy/helm/serinus/files/crds/
	$(BIN)/python tools/generate_api.py > docs/reference/api.md
	$(BIN)/python tools/generate_state_diagram.py > docs/reference/state-diagram.md
	$(BIN)/python tools/generate_metrics.py > docs/reference/metrics.md
	$(BIN)/python tools/generate_commands.py > docs/reference/commands.md
	PYTHONPATH=tests:deploy/local $(BIN)/python tools/generate_routers.py > docs/reference/routers.md
	$(BIN)/python tools/generate_dashboard.py > deploy/monitoring/dashboard.json
	cp deploy/monitoring/alerts.yaml deploy/monitoring/dashboard.json deploy/helm/serinus/files/

kustomize: setup ## write what follows from the chart: its README, and deploy/kustomize/base for those without Helm
	$(BIN)/python tools/generate_chart_readme.py
	PYTHONPATH=tests:deploy/local $(BIN)/python tools/generate_kustomize.py

docs: setup ## the site of the documentation, into .site; a link to a page that is not there is an error
	$(BIN)/zensical build --strict

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet pyproject.toml --group dev --group local --generate-hashes --no-emit-index-url --universal --output-file requirements.lock
	uv pip compile --quiet pyproject.toml --constraint requirements.lock --generate-hashes --no-emit-index-url --universal --output-file requirements-run.lock

audit: setup ## the dependencies: pinned by hash, licences, withdrawn versions, known vulnerabilities where pip-audit is there
	$(BIN)/python tools/audit_dependencies.py

sbom: setup ## the operator's bill of materials, in .sbom/serinus.cdx.json (CycloneDX)
	@mkdir -p .sbom
	$(BIN)/cyclonedx-py requirements requirements-run.lock --pyproject pyproject.toml --output-reproducible --output-file .sbom/serinus.cdx.json

clean: ## remove what was built here; the cache of the local cluster's programs stays
	rm -rf $(VENV) .local .demo .demo-llm .bench .faults .hostile .installed .soak .sbom .generated .pytest_cache .mypy_cache .ruff_cache \
	  .import_linter_cache .hypothesis
