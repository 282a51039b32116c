{{/* The annotations of the AWS Load Balancer Controller, from typed values: nothing
else checks them, and kubectl accepts any. */}}

{{/* Whether the Ingress is one of the AWS Load Balancer Controller: true or false. */}}
{{- define "authgate.alb.enabled" -}}
{{- $given := .Values.ingress.alb.enabled -}}
{{- ternary (eq .Values.ingress.className "alb") $given (kindIs "invalid" $given) -}}
{{- end -}}

{{- define "authgate.alb.annotations" -}}
{{- include "authgate.alb.check" . -}}
{{- $alb := .Values.ingress.alb -}}
{{- $drain := addf (include "authgate.timeout" (list . "shutdownDelay")) (include "authgate.timeout" (list . "shutdown")) | ceil | int64 -}}
{{- $balancer := dict
  "idle_timeout.timeout_seconds" (int64 $alb.idleTimeoutSeconds)
  "routing.http.drop_invalid_header_fields.enabled" "true"
  "routing.http.desync_mitigation_mode" "defensive" -}}
{{- $targets := dict
  "deregistration_delay.timeout_seconds" $drain
  "load_balancing.algorithm.type" "least_outstanding_requests" -}}
{{- $annotations := dict
  "target-type" "ip"
  "scheme" $alb.scheme
  "listen-ports" "[{\"HTTP\": 80}, {\"HTTPS\": 443}]"
  "ssl-redirect" "443"
  "ssl-policy" $alb.sslPolicy
  "backend-protocol" (include "authgate.scheme" . | upper)
  "backend-protocol-version" "HTTP1"
  "healthcheck-path" "/readyz"
  "healthcheck-port" "traffic-port"
  "healthcheck-protocol" (include "authgate.scheme" . | upper)
  "healthcheck-interval-seconds" "10"
  "healthcheck-timeout-seconds" "5"
  "healthy-threshold-count" "2"
  "unhealthy-threshold-count" "2"
  "success-codes" "200"
  "load-balancer-attributes" (include "authgate.alb.attributes" (list "loadBalancerAttributes" $balancer $alb.loadBalancerAttributes))
  "target-group-attributes" (include "authgate.alb.attributes" (list "targetGroupAttributes" $targets $alb.targetGroupAttributes)) -}}
{{- if $alb.group.name -}}
{{- $_ := set $annotations "group.name" $alb.group.name -}}
{{- $_ := set $annotations "group.order" ($alb.group.order | int64 | toString) -}}
{{- end -}}
{{- with $alb.certificateArns -}}
{{- $_ := set $annotations "certificate-arn" (join "," .) -}}
{{- end -}}
{{- with $alb.inboundCidrs -}}
{{- $_ := set $annotations "inbound-cidrs" (join "," .) -}}
{{- end -}}
{{- with $alb.securityGroups -}}
{{- $_ := set $annotations "security-groups" (join "," .) -}}
{{/* Security groups of your own disable the rules that let the ALB reach the pods. */}}
{{- $_ := set $annotations "manage-backend-security-group-rules" "true" -}}
{{- end -}}
{{- with $alb.wafv2AclArn -}}
{{- $_ := set $annotations "wafv2-acl-arn" . -}}
{{- end -}}
{{- if $alb.grpc.enabled -}}
{{- $_ := set $annotations (printf "conditions.%s-grpc" (include "authgate.fullname" .)) "[{\"field\":\"http-header\",\"httpHeaderConfig\":{\"httpHeaderName\":\"Content-Type\",\"values\":[\"application/grpc\",\"application/grpc+*\"]}}]" -}}
{{- end -}}
{{- $prefixed := dict -}}
{{- range $name, $value := $annotations -}}
{{- $_ := set $prefixed (printf "alb.ingress.kubernetes.io/%s" $name) $value -}}
{{- end -}}
{{- range $name, $_ := $.Values.ingress.annotations -}}
{{- if hasKey $prefixed $name -}}
{{- fail (printf "ingress.annotations sets %s, which the chart computes: use the values below ingress.alb" $name) -}}
{{- end -}}
{{- end -}}
{{- toYaml $prefixed -}}
{{- end -}}

{{/* key=value,... in the order of the keys: (list "valueName" computed further). */}}
{{- define "authgate.alb.attributes" -}}
{{- $name := index . 0 -}}
{{- $computed := index . 1 -}}
{{- $further := index . 2 -}}
{{- range $key, $_ := $further -}}
{{- if hasKey $computed $key -}}
{{- fail (printf "ingress.alb.%s sets %s, which the chart computes" $name $key) -}}
{{- end -}}
{{- end -}}
{{- $all := merge (dict) $computed $further -}}
{{- $pairs := list -}}
{{- range $key := keys $all | sortAlpha -}}
{{- $pairs = append $pairs (printf "%s=%v" $key (get $all $key)) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{/* The ALB and authgate have a timeout each for one connection: the shorter one answers. */}}
{{- define "authgate.alb.check" -}}
{{- $alb := .Values.ingress.alb -}}
{{- $idleTimeout := float64 $alb.idleTimeoutSeconds -}}
{{- $idle := include "authgate.timeout" (list . "idle") | float64 -}}
{{- $upstream := addf (include "authgate.timeout" (list . "upstreamDial")) (include "authgate.timeout" (list . "upstreamHeader")) -}}
{{- if gt (addf $idleTimeout 5) $idle -}}
{{- fail (printf "ingress.alb.idleTimeoutSeconds is %v and config.timeouts.idle is %vs: idle must be at least 5s longer, or the ALB sends requests into connections that authgate is closing (502). Raise config.timeouts.idle." $idleTimeout $idle) -}}
{{- end -}}
{{- if ge $upstream $idleTimeout -}}
{{- fail (printf "ingress.alb.idleTimeoutSeconds is %v, and config.timeouts.upstreamDial + upstreamHeader is %vs: for a slow upstream, the ALB would answer with its own 504 before authgate can explain it. Raise the first or lower the others." $idleTimeout $upstream) -}}
{{- end -}}
{{- if not .Values.config.trustedProxies -}}
{{- fail "config.trustedProxies is empty, and the Ingress is an ALB: name the CIDRs of the ALB's subnets. Without them authgate treats every request as plain http from the ALB's own address: wrong callback addresses, cookies without Secure, one address in the audit." -}}
{{- end -}}
{{- if and $alb.inboundCidrs $alb.securityGroups -}}
{{- fail "ingress.alb.inboundCidrs has no effect with ingress.alb.securityGroups: write the CIDRs into those groups, or remove the groups" -}}
{{- end -}}
{{- end -}}
