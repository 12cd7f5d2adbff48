{{- define "serinus.router.httpRoute" -}}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, patch{{ if .Values.rbac.managedRoutes }}, create{{ end }}]
{{- if .Values.rbac.managedRoutes }}
# For blockOwnerDeletion in the ownerReference of such a route, which some clusters (OpenShift) check.
- apiGroups: [serinus.dev]
  resources: [rollouts/finalizers]
  verbs: [update]
{{- end }}
{{- end }}
