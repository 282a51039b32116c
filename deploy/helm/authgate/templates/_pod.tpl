{{/* Parts that the pods of the Deployment, of the preflight and of `helm test` share. */}}

{{- define "authgate.container" -}}
image: {{ include "authgate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
# The last lines of the log become the reason that `kubectl describe` shows.
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{- define "authgate.env" -}}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "authgate.pod" -}}
# A Service called authgate would otherwise add AUTHGATE_* to the environment.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with .Values.schedulerName }}
schedulerName: {{ . | quote }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Folders, never subPath: a subPath mount does not see changes. */}}
{{- define "authgate.volumeMounts" -}}
- {name: config, mountPath: /etc/authgate/config, readOnly: true}
{{- if eq (include "authgate.mountsPolicy" .) "true" }}
- {name: policy, mountPath: /etc/authgate/policy, readOnly: true}
{{- end }}
{{- if include "authgate.secretKeys" . | fromJsonArray }}
- {name: secrets, mountPath: /etc/authgate/secrets, readOnly: true}
{{- end }}
{{- if .Values.sessionKeys.create }}
- {name: session-keys, mountPath: /etc/authgate/session-keys, readOnly: true}
{{- end }}
{{- if .Values.certificate.enabled }}
- {name: tls, mountPath: /etc/authgate/tls, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "authgate.volumes" -}}
- name: config
  configMap:
    name: {{ include "authgate.fullname" . }}-config
{{- if eq (include "authgate.mountsPolicy" .) "true" }}
- name: policy
  projected:
    sources:
      {{- range include "authgate.policySources" . | fromJsonArray }}
      - configMap:
          name: {{ .name | quote }}
          items:
            - {key: {{ .key | quote }}, path: {{ .path | quote }}}
      {{- end }}
{{- end }}
{{- with include "authgate.secretKeys" . | fromJsonArray }}
- name: secrets
  secret:
    secretName: {{ $.Values.existingSecret | quote }}
    # Readable through fsGroup.
    defaultMode: 0440
    # Listed, so that an event of the pod names a missing key.
    items:
      {{- range . }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- if .Values.sessionKeys.create }}
- name: session-keys
  secret:
    secretName: {{ include "authgate.fullname" . }}-session-keys
    defaultMode: 0440
{{- end }}
{{- if .Values.certificate.enabled }}
- name: tls
  secret:
    secretName: {{ include "authgate.tlsSecret" . | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A probe of the traffic port: (list . "livenessProbe" "/healthz"). */}}
{{- define "authgate.probe" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $probe := get $root.Values $name -}}
{{- if $probe.enabled }}
{{ $name }}:
  httpGet: {path: {{ index . 2 }}, port: http, scheme: {{ include "authgate.scheme" $root | upper }}}
  {{- toYaml (omit $probe "enabled" "httpGet" "exec" "tcpSocket" "grpc") | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Over zones and nodes where possible, each generation of pods on its own. */}}
{{- define "authgate.topologySpread" -}}
{{- $selector := dict "matchLabels" (include "authgate.selectorLabels" . | fromYaml) -}}
{{- $given := .Values.topologySpreadConstraints -}}
{{- $constraints := list -}}
{{- if kindIs "invalid" $given -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" -}}
{{- $constraints = append $constraints (dict "topologyKey" . "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash") "labelSelector" $selector) -}}
{{- end -}}
{{- else -}}
{{- range $given -}}
{{- $constraints = append $constraints (merge (deepCopy .) (dict "labelSelector" $selector)) -}}
{{- end -}}
{{- end -}}
{{- with $constraints -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}
