{{/* What the chart reads from authgate.yaml. It never writes into it. */}}

{{/* Seconds in a Go duration such as 1m30s: (list "config.timeouts.idle" value). */}}
{{- define "authgate.seconds" -}}
{{- $key := index . 0 -}}
{{- $value := index . 1 | toString -}}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(ms|us|µs|ns|h|m|s))+$" $value) -}}
{{- fail (printf "%s is %q: write a duration such as 30s or 1m30s; the chart computes with it" $key $value) -}}
{{- end -}}
{{- $units := dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001 "us" 0.000001 "µs" 0.000001 "ns" 0.000000001 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|us|µs|ns|h|m|s)" $value -1 -}}
{{- $unit := regexFind "[a-zµ]+$" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* The same for a timeout of the configuration: (list . "idle"). */}}
{{- define "authgate.timeout" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- include "authgate.seconds" (list (printf "config.timeouts.%s" $name) (get ($root.Values.config.timeouts | default dict) $name)) -}}
{{- end -}}

{{/* Port of a listen address that other machines can reach: (list . "listen"). */}}
{{- define "authgate.port" -}}
{{- $root := index . 0 -}}
{{- $key := index . 1 -}}
{{- $value := get $root.Values.config $key | toString -}}
{{- $port := regexFind ":[0-9]+$" $value | trimPrefix ":" -}}
{{- if or (not $port) (hasPrefix "unix:" $value) (regexMatch "^(localhost|127\\.[0-9.]+|\\[::1\\]):" $value) -}}
{{- fail (printf "config.%s is %q: in a pod it must be reachable from outside; write \":%s\"" $key $value (ternary "8080" "9090" (eq $key "listen"))) -}}
{{- end -}}
{{- $port -}}
{{- end -}}

{{/* The protocol of the traffic port: https if authgate ends TLS itself. */}}
{{- define "authgate.scheme" -}}
{{- ternary "https" "http" (not (empty (.Values.config.tls | default dict).certFile)) -}}
{{- end -}}

{{/* Every host of every upstream, once, as a JSON list. */}}
{{- define "authgate.hosts" -}}
{{- $hosts := list -}}
{{- range .Values.config.upstreams -}}
{{- $hosts = concat $hosts (.hosts | default list) -}}
{{- end -}}
{{- $hosts | uniq | toJson -}}
{{- end -}}

{{/* The ServiceAccounts whose tokens authgate asks for, as JSON: namespace to names. */}}
{{- define "authgate.accounts" -}}
{{- $accounts := dict -}}
{{- range .Values.config.upstreams -}}
{{- range ((.identity | default dict).serviceAccounts | default list) -}}
{{- if and .namespace .name -}}
{{- $_ := set $accounts .namespace (append (get $accounts .namespace | default list) .name | uniq | sortAlpha) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $accounts | toJson -}}
{{- end -}}

{{/* Time for the delay, the shutdown, and the kubelet's own delay. */}}
{{- define "authgate.gracePeriod" -}}
{{- $drain := addf (include "authgate.timeout" (list . "shutdownDelay")) (include "authgate.timeout" (list . "shutdown")) -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- addf $drain 10 | ceil | int64 -}}
{{- else if lt (float64 $given) (addf $drain 5) -}}
{{- fail (printf "terminationGracePeriodSeconds is %v: config.timeouts.shutdownDelay + shutdown + 5s are %vs together, and a pod killed earlier aborts requests; raise it, or remove it and the chart computes it" $given (addf $drain 5)) -}}
{{- else -}}
{{- int64 $given -}}
{{- end -}}
{{- end -}}

{{/* Reports missing values before any object is rendered. */}}
{{- define "authgate.check" -}}
{{- if not .Values.existingSecret -}}
{{- $namespace := include "authgate.namespace" . -}}
{{- fail (printf "existingSecret is not set. authgate reads the keys client-id, client-secret and session-keys from a Secret in namespace %s. Create it from three files with those names:\n\n  authgate keygen > session-keys\n  kubectl create secret generic authgate --namespace %s --from-file=client-id --from-file=client-secret --from-file=session-keys\n\nand set existingSecret=authgate." $namespace $namespace) -}}
{{- end -}}
{{- if not (.Values.config.issuer).url -}}
{{- fail "config.issuer.url is not set: write the address of Dex as browsers reach it, for example https://argo-cd.example.com/api/dex" -}}
{{- end -}}
{{- if and (include "authgate.accounts" . | fromJson) (not .Values.serviceAccount.automountServiceAccountToken) -}}
{{- fail "config.upstreams names serviceAccounts whose tokens authgate requests from Kubernetes, and serviceAccount.automountServiceAccountToken is false: the pod has no credentials for that. Set it to true, or give each a tokenFile." -}}
{{- end -}}
{{- if and (not .Values.existingPolicyConfigMap) (not (trim .Values.policy)) -}}
{{- fail "policy is empty: authgate does not start without a row. Set policy (--set-file policy=policy.csv) or existingPolicyConfigMap." -}}
{{- end -}}
{{- end -}}
