{{- define "windlass.fullname" -}}
{{- if contains "windlass" .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-windlass" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "windlass.labels" -}}
app.kubernetes.io/name: windlass
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: windlass
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* Of pods that an upgrade of the chart alone is not to restart: nothing here changes with it. */ -}}
{{- define "windlass.lastingLabels" -}}
app.kubernetes.io/name: windlass
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: windlass
{{- end -}}

{{- define "windlass.operatorSelector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "windlass.redisSelector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: redis
{{- end -}}

{{- define "windlass.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "windlass.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ required "serviceAccount.name is required when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "windlass.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "windlass.redisHost" -}}
{{ include "windlass.fullname" . }}-redis.{{ .Release.Namespace }}.svc:6379
{{- end -}}

{{- define "windlass.rules" -}}
- apiGroups: [windlass.dev]
  resources: [taskqueues, beatschedules]
  verbs: [list, watch, patch] # patch: the finalizer
- apiGroups: [windlass.dev]
  resources: [workerpools]
  verbs: [list, watch]
- apiGroups: [windlass.dev]
  resources: [taskqueues/status, workerpools/status, beatschedules/status]
  verbs: [patch]
# Children that block their owner's deletion ask for this where the API server enforces it.
- apiGroups: [windlass.dev]
  resources: [taskqueues/finalizers, workerpools/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete] # get: of one that lost its labels
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch] # patch: the deletion cost
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch]
# Secrets are read by name and written; never listed, never watched.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
