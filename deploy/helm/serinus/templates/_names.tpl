{{- define "serinus.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "serinus.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Not the operator's: its Services and policies must not select the pods of the page. */}}
{{- define "serinus.webSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-web
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

{{/* Where a policy applies that exempts this release's operator: not to the namespaces of another release. */}}
{{- define "serinus.scope" -}}
{{- with .Values.namespaces -}}
matchResources:
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- end }}
{{- end }}

{{- define "serinus.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The version of MutatingAdmissionPolicy that this cluster serves: v1 from Kubernetes 1.36; in 1.34 and 1.35 v1beta1, where
the feature gate MutatingAdmissionPolicy and the API are turned on; empty where it serves neither. */}}
{{- define "serinus.stampVersion" -}}
{{- range $version := list "v1" "v1beta1" -}}
{{- if $.Capabilities.APIVersions.Has (printf "admissionregistration.k8s.io/%s/MutatingAdmissionPolicy" $version) -}}
admissionregistration.k8s.io/{{ $version }}{{ break }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether the API server stamps who wrote a Rollout: enabled, and supported by this cluster. */}}
{{- define "serinus.stamps" -}}
{{- and .Values.actorStamp.enabled (ne (include "serinus.stampVersion" .) "") -}}
{{- end }}

{{/* What to do where the actor stamp is missing. */}}
{{- define "serinus.noStamp" -}}
{{- if .Values.actorStamp.enabled -}}
use Kubernetes 1.36 or newer, in 1.34 and 1.35 turn on the feature gate MutatingAdmissionPolicy and its API v1beta1, or leave fourEyes out
{{- else -}}
set actorStamp.enabled, or leave fourEyes out
{{- end }}
{{- end }}

{{/* A CEL string: whom to ask for a missing verb. It contains no quote or backslash: values.schema.json excludes them. */}}
{{- define "serinus.contact" -}}
{{- $contact := .top.Values.approvals.contact | default "an administrator of the namespace" -}}
{{- printf "' (the ClusterRole %s-%s has it): ask %s'" (include "serinus.name" .top) .role $contact -}}
{{- end }}

{{- define "serinus.config" -}}
{{- if not .Values.config.sources }}
{{- fail "config.sources is empty, and no version gains traffic without metrics: set config.sources.default.url" }}
{{- end -}}
sources: {{- toYaml .Values.config.sources | nindent 2 }}
namespaces: {{ toJson .Values.namespaces }}
httpPort: 8080
leaseNamespace: {{ .Release.Namespace }}
leaseName: {{ include "serinus.name" . }}
shards: {{ .Values.shards }}
actorStamped: {{ include "serinus.stamps" . }}
jobTests: {{ .Values.rbac.jobs }}
resync: {{ .Values.config.resync }}
writers: {{ .Values.config.writers }}
routers: {{ toJson .Values.config.routers }}
registry: {{- toYaml .Values.config.registry | nindent 2 }}
artifacts: {{- include "serinus.artifacts" . | nindent 2 }}
audit: {{- include "serinus.audit" . | nindent 2 }}
notifications: {{- include "serinus.notifications" . | nindent 2 }}
{{- with .Values.config.telemetry }}
telemetry: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Helm reads numbers as floats and would render a large one as 5e+10, which does not parse as an integer. */}}
{{- define "serinus.artifacts" -}}
{{- $artifacts := .Values.config.artifacts -}}
{{- toYaml (omit $artifacts "maxBytes") }}
{{- with $artifacts.maxBytes }}
maxBytes: {{ int64 . }}
{{- end }}
{{- end }}

{{- define "serinus.audit" -}}
{{- $checkpoints := .Values.config.audit.checkpoints -}}
{{- $secret := .Values.checkpointKey.secret -}}
{{- if and $secret (not $checkpoints) }}
{{- fail "checkpointKey.secret has no effect without checkpoints: name the bucket in config.audit.checkpoints.bucket" }}
{{- end }}
{{- if and $secret $checkpoints.keyFile }}
{{- fail "config.audit.checkpoints.keyFile and checkpointKey.secret both set the key: keep one" }}
{{- end }}
{{- if and $checkpoints (not $secret) (not $checkpoints.keyFile) }}
{{- fail "config.audit.checkpoints has no key to sign with: set checkpointKey.secret" }}
{{- end }}
{{- if $secret }}
{{- $checkpoints = merge (dict "keyFile" (include "serinus.checkpointKey" .)) $checkpoints }}
{{- end }}
{{- if $checkpoints }}
checkpoints: {{- toYaml $checkpoints | nindent 2 }}
{{- else -}}
{}
{{- end }}
{{- end }}

{{- define "serinus.checkpointKey" -}}
/etc/serinus/checkpoint-key/{{ .Values.checkpointKey.item }}
{{- end }}

{{/* The settings of notifications, with the files of the mounted Secrets instead of their names. */}}
{{- define "serinus.notifications" -}}
{{- $receivers := list -}}
{{- $names := list -}}
{{- range .Values.config.notifications.receivers -}}
{{- $receiver := deepCopy . -}}
{{- if has $receiver.name $names }}
{{- fail (printf "config.notifications.receivers has two receivers with the name %s: rename one" $receiver.name) }}
{{- end }}
{{- $names = append $names $receiver.name -}}
{{- range $field := list "urlFrom" "signingKeyFrom" -}}
{{- if dig $field "secretKeyRef" "" $receiver -}}
{{- $_ := set $receiver $field (dict "file" (printf "/etc/serinus/notifications/%s/%s" $receiver.name $field)) -}}
{{- end -}}
{{- end -}}
{{- $receivers = append $receivers $receiver -}}
{{- end -}}
{{- toYaml (dict "source" .Values.config.notifications.source "receivers" $receivers) -}}
{{- end }}

{{/* The Secrets of notifications as the sources of one volume, a folder for each receiver; empty where there are none. They
are optional: a missing one is a receiver that fails, and must not keep the operator from starting. */}}
{{- define "serinus.notificationSecrets" -}}
{{- range $receiver := .Values.config.notifications.receivers -}}
{{- range $field := list "urlFrom" "signingKeyFrom" -}}
{{- with dig $field "secretKeyRef" "" $receiver }}
- secret:
    name: {{ .name | quote }}
    optional: true
    items: [{key: {{ .key | quote }}, path: {{ printf "%s/%s" $receiver.name $field }}}]
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The Leases of the shards, behind the common one in a list; with one shard there are none. */}}
{{- define "serinus.shardLeases" -}}
{{- $count := int .Values.shards -}}
{{- if gt $count 1 -}}
{{- range until $count }}, {{ include "serinus.name" $ }}-shard-{{ . }}{{ end -}}
{{- end -}}
{{- end }}

{{/* The environment variables of the proxy. The kubelet replaces $(KUBERNETES_SERVICE_HOST) by the API server's address,
which must never be asked for through a proxy that may be down or may not reach it. */}}
{{- define "serinus.proxy" -}}
{{- $proxy := .Values.proxy -}}
{{- if or $proxy.https $proxy.http -}}
{{- $direct := list "$(KUBERNETES_SERVICE_HOST)" "kubernetes.default.svc" "localhost" "127.0.0.1" ".svc" ".cluster.local" "169.254.170.23" -}}
{{- with $proxy.https }}
- {name: HTTPS_PROXY, value: {{ . | quote }}}
{{- end }}
{{- with $proxy.http }}
- {name: HTTP_PROXY, value: {{ . | quote }}}
{{- end }}
- {name: NO_PROXY, value: {{ concat $direct $proxy.none | uniq | join "," | quote }}}
{{- else if $proxy.none }}
{{- fail "proxy.none has no effect without a proxy: set proxy.https" }}
{{- end }}
{{- end }}

{{/* The constraints by which the pods are spread, each with the selector of the operator's pods unless it has its own. Pods of
an older version are not counted: they are about to go. */}}
{{- define "serinus.spread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "serinus.selector" . | fromYaml)) "matchLabelKeys" (list "pod-template-hash") -}}
{{- $constraints := list -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $constraints = append $constraints (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $own)) -}}
{{- end -}}
{{- with $constraints }}{{ toYaml . }}{{ end }}
{{- end }}
