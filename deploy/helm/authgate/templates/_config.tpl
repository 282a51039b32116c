{{/* The configuration that the pods read, and what the chart reads from it. */}}

{{/* authgate.yaml: config, and the keys that values.yaml promises where config has none. */}}
{{- define "authgate.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $issuer := $config.issuer | default dict -}}
{{- $session := $config.session | default dict -}}
{{- $policy := $config.policy | default dict -}}
{{- if not (hasKey $config "adminListen") -}}
{{- $_ := set $config "adminListen" (ternary ":9090" "127.0.0.1:9090" .Values.metrics.enabled) -}}
{{- end -}}
{{- if not (hasKey $issuer "clientID") -}}
{{- $_ := set $issuer "clientID" (dict "file" "/etc/authgate/secrets/client-id") -}}
{{- end -}}
{{- if not (hasKey $issuer "clientSecret") -}}
{{- $_ := set $issuer "clientSecret" (dict "file" "/etc/authgate/secrets/client-secret") -}}
{{- end -}}
{{- if not (hasKey $issuer "backchannelURL") -}}
{{- with include "authgate.issuerUpstream" . | fromJson -}}
{{- $_ := set $issuer "backchannelURL" .backchannelURL -}}
{{- end -}}
{{- end -}}
{{- if not (hasKey $session "keys") -}}
{{- $_ := set $session "keys" (dict "file" (ternary "/etc/authgate/session-keys/session-keys" "/etc/authgate/secrets/session-keys" .Values.sessionKeys.create)) -}}
{{- end -}}
{{- if and .Values.watchPolicyConfigMap (not (hasKey $policy "configMap")) -}}
{{- $_ := set $policy "configMap" (dict "name" (include "authgate.policyConfigMap" .)) -}}
{{- end -}}
{{- if not (or (hasKey $policy "files") ($policy.configMap | default dict).name) -}}
{{- $_ := set $policy "files" (include "authgate.policyFiles" . | fromJsonArray) -}}
{{- end -}}
{{- if and .Values.certificate.enabled (not (hasKey $config "tls")) -}}
{{- $_ := set $config "tls" (dict "certFile" "/etc/authgate/tls/tls.crt" "keyFile" "/etc/authgate/tls/tls.key") -}}
{{- end -}}
{{/* `{file: null, env: NAME}` is how values remove a default: the null is not authgate's. */}}
{{- range list (list $issuer "clientID") (list $issuer "clientSecret") (list $session "keys") (list $config "adminToken") -}}
{{- $secret := get (index . 0) (index . 1) -}}
{{- if kindIs "map" $secret -}}
{{- range $key, $value := $secret -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $secret $key -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $config.upstreams -}}
{{- if and (eq (.kind | default "") "argo-cd") (not (hasKey (.identity | default dict) "credential")) -}}
{{- $_ := set . "identity" (merge (dict "credential" "idToken") (.identity | default dict)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config "issuer" $issuer -}}
{{- $_ := set $config "session" $session -}}
{{- $_ := set $config "policy" $policy -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The upstream that serves the issuer, as JSON: its name, the issuer's path below it,
and the issuer's address inside the cluster. {} if the issuer is elsewhere. */}}
{{- define "authgate.issuerUpstream" -}}
{{- $found := dict -}}
{{- $longest := -1 -}}
{{- $issuer := urlParse (.Values.config.issuer.url | default "") -}}
{{- $host := regexReplaceAll ":[0-9]+$" $issuer.host "" -}}
{{- $path := trimSuffix "/" $issuer.path -}}
{{- range .Values.config.upstreams -}}
{{- $prefix := trimSuffix "/" (.path | default "/") -}}
{{- $below := or (eq $path $prefix) (hasPrefix (printf "%s/" $prefix) $path) -}}
{{- if and (has $host .hosts) $below (not .stripPath) (regexMatch "^https?://" .url) (gt (len $prefix) $longest) -}}
{{- $longest = len $prefix -}}
{{- $found = dict "name" .name "path" $path "backchannelURL" (printf "%s%s" (trimSuffix "/" .url) $path) -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* The keys that the pods need of existingSecret, as a JSON list. */}}
{{- define "authgate.secretKeys" -}}
{{- $keys := list -}}
{{- range regexFindAll "/etc/authgate/secrets/[-._a-zA-Z0-9]+" (include "authgate.config" .) -1 -}}
{{- $keys = append $keys (base .) -}}
{{- end -}}
{{- $keys | uniq | toJson -}}
{{- end -}}

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
{{- $value := get (include "authgate.config" $root | fromYaml) $key | toString -}}
{{- $port := regexFind ":[0-9]+$" $value | trimPrefix ":" -}}
{{- if or (not $port) (hasPrefix "unix:" $value) (regexMatch "^(localhost|127\\.[0-9.]+|\\[::1\\]):" $value) -}}
{{- fail (printf "config.%s is %q: other pods must be able to reach it; write \":%s\"" $key $value (ternary "8080" "9090" (eq $key "listen"))) -}}
{{- end -}}
{{- $port -}}
{{- end -}}

{{/* What the traffic port speaks: https where authgate ends TLS itself. */}}
{{- define "authgate.scheme" -}}
{{- $tls := (include "authgate.config" . | fromYaml).tls | default dict -}}
{{- ternary "https" "http" (not (empty $tls.certFile)) -}}
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

{{/* Whether authgate sends requests to the API server: true or false. */}}
{{- define "authgate.asksKubernetes" -}}
{{- not (and (empty (include "authgate.accounts" . | fromJson)) (empty (include "authgate.watchedPolicy" . | fromJson))) -}}
{{- end -}}

{{/* Whether the pods get the account's token: true or false. */}}
{{- define "authgate.mountsToken" -}}
{{- $given := .Values.serviceAccount.automountServiceAccountToken -}}
{{- if kindIs "invalid" $given -}}
{{- eq (include "authgate.asksKubernetes" .) "true" -}}
{{- else -}}
{{- $given -}}
{{- end -}}
{{- end -}}

{{/* Time for the delay, the drain, and the kubelet's own work. */}}
{{- define "authgate.gracePeriod" -}}
{{- $drain := addf (include "authgate.timeout" (list . "shutdownDelay")) (include "authgate.timeout" (list . "shutdown")) -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- addf $drain 10 | ceil | int64 -}}
{{- else if lt (float64 $given) (addf $drain 5) -}}
{{- fail (printf "terminationGracePeriodSeconds is %v: config.timeouts.shutdownDelay + shutdown + 5s is %vs, and Kubernetes cuts off requests of a pod that it kills earlier; raise it, or remove it and the chart computes it" $given (addf $drain 5)) -}}
{{- else -}}
{{- int64 $given -}}
{{- end -}}
{{- end -}}
