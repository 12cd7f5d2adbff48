{{- define "serinus.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "serinus.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "serinus.labels" -}}
{{ include "serinus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: serinus
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "serinus.account" -}}
{{ .Values.serviceAccount.name | default (include "serinus.name" .) }}
{{- end }}

{{- define "serinus.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Whether the API server stamps who wrote a Rollout: asked for, and served by this cluster. */}}
{{- define "serinus.stamps" -}}
{{- and .Values.actorStamp.enabled (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") -}}
{{- end }}

{{- define "serinus.config" -}}
{{- if not .Values.config.sources }}
{{- fail "config.sources names no Prometheus, and no version gains traffic without evidence: set config.sources.default.url" }}
{{- end -}}
sources: {{- toYaml .Values.config.sources | nindent 2 }}
namespaces: {{ toJson .Values.namespaces }}
httpPort: 8080
leaseNamespace: {{ .Release.Namespace }}
leaseName: {{ include "serinus.name" . }}
actorStamped: {{ include "serinus.stamps" . }}
resync: {{ .Values.config.resync }}
writers: {{ .Values.config.writers }}
{{- end }}
