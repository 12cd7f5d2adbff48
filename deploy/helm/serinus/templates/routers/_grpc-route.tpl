{{- define "serinus.router.grpcRoute" -}}
- apiGroups: [gateway.networking.k8s.io]
  resources: [grpcroutes]
  verbs: [get, list, watch, patch]
{{- end }}
