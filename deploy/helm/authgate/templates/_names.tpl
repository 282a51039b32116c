{{/* Names of objects, and their labels. */}}

{{- define "authgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 53 characters leave room for -preflight within a DNS label. */}}
{{- define "authgate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "authgate.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Name and instance alone: a selector can never change. */}}
{{- define "authgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "authgate.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "authgate.labels" -}}
{{- $own := dict
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "authgate"
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $own = merge (include "authgate.selectorLabels" . | fromYaml) $own -}}
{{- merge $own (deepCopy .Values.commonLabels) | toYaml -}}
{{- end -}}

{{- define "authgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "authgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "authgate.image" -}}
{{- with .Values.image -}}
{{- $name := .repository -}}
{{- if .registry }}{{ $name = printf "%s/%s" .registry .repository }}{{ end -}}
{{- if .digest -}}
{{- printf "%s@%s" $name .digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Annotations with their templates expanded: (list . map). */}}
{{- define "authgate.annotations" -}}
{{- $root := index . 0 -}}
{{- with index . 1 -}}
{{- tpl (toYaml .) $root -}}
{{- end -}}
{{- end -}}

{{/* The standard labels and further ones: (list . map). Standard labels take precedence. */}}
{{- define "authgate.labelsWith" -}}
{{- $root := index . 0 -}}
{{- merge (include "authgate.labels" $root | fromYaml) (deepCopy (index . 1 | default dict)) | toYaml -}}
{{- end -}}

{{/* Secret with the certificate of certificate.enabled. */}}
{{- define "authgate.tlsSecret" -}}
{{- default (printf "%s-tls" (include "authgate.fullname" .)) .Values.certificate.secretName -}}
{{- end -}}
