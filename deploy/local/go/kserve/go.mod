module serinus.dev/local/kserve

go 1.26.0

require (
	github.com/kserve/kserve v0.20.0
	sigs.k8s.io/gateway-api-inference-extension v1.5.0
)
