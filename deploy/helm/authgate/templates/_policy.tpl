{{/* Where the rows of the policy come from. */}}

{{/* The policy's own ConfigMap, or the one that is given. */}}
{{- define "authgate.policyConfigMap" -}}
{{- default (printf "%s-policy" (include "authgate.fullname" .)) .Values.existingPolicyConfigMap -}}
{{- end -}}

{{/* The ConfigMap that authgate watches through the API server, as JSON. {} if there is none.
It reads the values, because the configuration is made with it. */}}
{{- define "authgate.watchedPolicy" -}}
{{- $given := ((.Values.config.policy | default dict).configMap | default dict) -}}
{{- $found := dict -}}
{{- if $given.name -}}
{{- $found = dict "name" $given.name "namespace" ($given.namespace | default (include "authgate.namespace" .)) -}}
{{- else if .Values.watchPolicyConfigMap -}}
{{- $found = dict "name" (include "authgate.policyConfigMap" .) "namespace" (include "authgate.namespace" .) -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* Names of the files of the policy volume, as a JSON list: ConfigMap, key, path. */}}
{{- define "authgate.policySources" -}}
{{- $sources := list -}}
{{- if not (include "authgate.watchedPolicy" . | fromJson) -}}
{{- $sources = list (dict "name" (include "authgate.policyConfigMap" .) "key" "policy.csv" "path" "policy.csv") -}}
{{- end -}}
{{- range .Values.extraPolicyConfigMaps -}}
{{- $key := .key | default "policy.csv" -}}
{{- $sources = append $sources (dict "name" .name "key" $key "path" (printf "%s-%s" .name $key)) -}}
{{- end -}}
{{- $sources | toJson -}}
{{- end -}}

{{- define "authgate.policyFiles" -}}
{{- $files := list -}}
{{- range include "authgate.policySources" . | fromJsonArray -}}
{{- $files = append $files (printf "/etc/authgate/policy/%s" .path) -}}
{{- end -}}
{{- $files | toJson -}}
{{- end -}}

{{/* true if config.policy.files or shadow reads the policy volume, which files does unless
it is written otherwise (git-sync, for example). */}}
{{- define "authgate.mountsPolicy" -}}
{{- $mounts := false -}}
{{- $policy := (include "authgate.config" . | fromYaml).policy -}}
{{- range concat ($policy.files | default list) ($policy.shadow | default list) -}}
{{- if hasPrefix "/etc/authgate/policy/" . -}}
{{- $mounts = true -}}
{{- end -}}
{{- end -}}
{{- $mounts -}}
{{- end -}}

{{/* true if the chart creates the policy's ConfigMap. */}}
{{- define "authgate.createsPolicy" -}}
{{- $watched := include "authgate.watchedPolicy" . | fromJson -}}
{{- $wanted := ternary (eq ($watched.name | default "") (include "authgate.policyConfigMap" .)) (eq (include "authgate.mountsPolicy" .) "true") (not (empty $watched)) -}}
{{- and $wanted (not .Values.existingPolicyConfigMap) -}}
{{- end -}}

{{/* policy.csv: the value, byte for byte, or else the chart's own rows. */}}
{{- define "authgate.policy" -}}
{{- if kindIs "string" .Values.policy -}}
{{- .Values.policy -}}
{{- else -}}
# Written by the chart, because the value `policy` is not given.
#
# p, subject, upstream, path, method, effect
{{- with include "authgate.issuerUpstream" . | fromJson }}
# Logins need the issuer's pages without a session.
p, system:anonymous, {{ .name }}, {{ .path }}/**, *, allow
{{- end }}
{{- if not .Values.adminGroups }}
# authgate:ignore AG107 adminGroups is empty: authgate denies every user
{{- end }}
p, role:admin, *, /**, *, allow
# g, member, role
{{- range .Values.adminGroups }}
g, {{ . }}, role:admin
{{- end }}
{{ end -}}
{{- end -}}
