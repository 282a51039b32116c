{{/* Rejects values that cannot work, before any object is made of them. */}}
{{- define "authgate.check" -}}
{{- if not .Values.config.issuer.url -}}
{{- fail "config.issuer.url is not set: it is the issuer as browsers reach it, for example https://argo-cd.example.com/api/dex" -}}
{{- end -}}
{{- if not .Values.config.upstreams -}}
{{- fail "config.upstreams is empty: name at least one dashboard, for example\n\n  config:\n    upstreams:\n      - name: argocd\n        hosts: [argo-cd.example.com]\n        url: http://argocd-server.argocd.svc:80\n        kind: argo-cd" -}}
{{- end -}}
{{- include "authgate.check.secret" . -}}
{{- if and (include "authgate.accounts" . | fromJson) (eq (include "authgate.mountsToken" .) "false") -}}
{{- fail "config.upstreams names serviceAccounts whose tokens authgate requests from Kubernetes, and serviceAccount.automountServiceAccountToken is false: authgate cannot authenticate to Kubernetes. Remove the value, or give each account a tokenFile." -}}
{{- end -}}
{{- if and (include "authgate.watchedPolicy" . | fromJson) (eq (include "authgate.mountsToken" .) "false") -}}
{{- fail "authgate watches a ConfigMap (watchPolicyConfigMap or config.policy.configMap), and serviceAccount.automountServiceAccountToken is false: authgate cannot authenticate to Kubernetes. Remove the value." -}}
{{- end -}}
{{- range .Values.config.upstreams -}}
{{- if and (eq (.kind | default "") "argo-workflows") (not (hasKey (.identity | default dict) "credential")) -}}
{{- fail (printf "config.upstreams: %s is of kind argo-workflows and has no identity.credential, so argo-server rejects every user. Write identity: {credential: serviceAccount, serviceAccounts: [...]} (docs/argo.md), or credential: none if argo-server accepts requests without a token." .name) -}}
{{- end -}}
{{- end -}}
{{- include "authgate.check.policy" . -}}
{{- end -}}

{{- define "authgate.check.secret" -}}
{{- $keys := include "authgate.secretKeys" . | fromJsonArray -}}
{{- if and $keys (not .Values.existingSecret) -}}
{{- $namespace := include "authgate.namespace" . -}}
{{- $names := printf "%s and %s" (initial $keys | join ", ") (last $keys) | trimPrefix " and " -}}
{{- $keygen := ternary "\n  authgate keygen > session-keys" "" (has "session-keys" $keys) -}}
{{- $files := list -}}
{{- range $keys -}}
{{- $files = append $files (printf "--from-file=%s" .) -}}
{{- end -}}
{{- fail (printf "existingSecret is not set. authgate reads the keys %s from a Secret in namespace %s. Create one from files of those names:\n%s\n  kubectl create secret generic authgate --namespace %s %s\n\nand set existingSecret=authgate." $names $namespace $keygen $namespace (join " " $files)) -}}
{{- end -}}
{{- end -}}

{{- define "authgate.check.policy" -}}
{{- if .Values.watchPolicyConfigMap -}}
{{- if (.Values.config.policy | default dict).files -}}
{{- fail "watchPolicyConfigMap has no effect with config.policy.files: remove one of them" -}}
{{- end -}}
{{- if and .Values.extraPolicyConfigMaps (not (.Values.config.policy | default dict).shadow) -}}
{{- fail "watchPolicyConfigMap watches one ConfigMap, and extraPolicyConfigMaps names further ones: put their rows into one ConfigMap as further keys that end in .csv, or remove watchPolicyConfigMap" -}}
{{- end -}}
{{- end -}}
{{- if kindIs "string" .Values.policy -}}
{{- if not (trim .Values.policy) -}}
{{- fail "policy is empty: authgate does not start without a row. Give rows (--set-file policy=policy.csv), or leave it out and name adminGroups." -}}
{{- end -}}
{{- if .Values.adminGroups -}}
{{- fail "adminGroups has no effect with policy: add a row `g, GROUP, role:admin` to the policy instead" -}}
{{- end -}}
{{- if .Values.existingPolicyConfigMap -}}
{{- fail "policy has no effect with existingPolicyConfigMap: remove one of them" -}}
{{- end -}}
{{- range $i, $line := splitList "\n" (.Values.policy | trimPrefix "\ufeff") -}}
{{- if not (regexMatch "^\\s*($|#|\"?[pg]\"?\\s*,)" $line) -}}
{{- fail (printf "policy, line %d is %q: a row begins with `p,` or `g,`, a comment with #. From a file: --set-file policy=policy.csv, not --set." (add1 $i) (trunc 60 $line)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
