{{/* Where the rows of the policy come from. */}}

{{/* The policy's own ConfigMap, or the one that is given. */}}
{{- define "authgate.policyConfigMap" -}}
{{- default (printf "%s-policy" (include "authgate.fullname" .)) .Values.existingPolicyConfigMap -}}
{{- end -}}

{{/* Names of the files of the policy volume, as a JSON list: ConfigMap, key, path. */}}
{{- define "authgate.policySources" -}}
{{- $sources := list (dict "name" (include "authgate.policyConfigMap" .) "key" "policy.csv" "path" "policy.csv") -}}
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

{{/* true if config.policy.files reads the policy volume, which it does unless it is
written otherwise (git-sync, for example). */}}
{{- define "authgate.mountsPolicy" -}}
{{- $mounts := false -}}
{{- range ((include "authgate.config" . | fromYaml).policy).files -}}
{{- if hasPrefix "/etc/authgate/policy/" . -}}
{{- $mounts = true -}}
{{- end -}}
{{- end -}}
{{- $mounts -}}
{{- end -}}

{{/* true if the chart creates the policy's ConfigMap. */}}
{{- define "authgate.createsPolicy" -}}
{{- and (eq (include "authgate.mountsPolicy" .) "true") (not .Values.existingPolicyConfigMap) -}}
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
