package chart_test

import (
	"strings"
	"testing"
)

// A release that cannot work fails when it is rendered, on the screen of the
// user who made it, and says what to write instead.
func TestUnworkableValuesAreRefusedWithAWayOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		base string
		set  []string
		want []string
	}{
		{"no secret", "default", []string{"existingSecret="}, []string{
			"existingSecret is not set", "client-id, client-secret and session-keys",
			"authgate keygen > session-keys", "kubectl create secret generic authgate --namespace login",
		}},
		{"no issuer", "default", []string{"config.issuer.url="}, []string{"config.issuer.url is not set", "/api/dex"}},
		{"accounts without a token to ask with", "argo", []string{"serviceAccount.automountServiceAccountToken=false"}, []string{"automountServiceAccountToken is false", "tokenFile"}},
		{"a watch without a token", "watched-policy", []string{"serviceAccount.automountServiceAccountToken=false"}, []string{"watches a ConfigMap", "automountServiceAccountToken is false"}},
		{"a watch of several ConfigMaps", "team-policies", []string{"watchPolicyConfigMap=true"}, []string{"watchPolicyConfigMap watches one ConfigMap", "end in .csv"}},
		{"a watch and files", "git-sync", []string{"watchPolicyConfigMap=true"}, []string{"has no effect with config.policy.files"}},
		{"no policy", "default", []string{"policy="}, []string{"policy is empty", "--set-file policy=policy.csv"}},
		{"policy that is none", "default", []string{"policy=garbage"}, []string{`policy, line 1 is "garbage"`, "--set-file policy=policy.csv"}},
		{"policy with a line that is no row", "default", []string{"policy=# rows\np\\, role:admin\\, *\\, /**\\, *\\, allow\nq\\, x"}, []string{"policy, line 3"}},
		{"admin groups and a policy", "alb", []string{"adminGroups={example-org:platform}"}, []string{"adminGroups has no effect", "g, GROUP, role:admin"}},
		{"two policies", "alb", []string{"existingPolicyConfigMap=team"}, []string{"existingPolicyConfigMap"}},
		{"group that is two fields", "default", []string{`adminGroups={a\,b}`}, []string{"adminGroups"}},
		{"no upstream", "default", []string{"config.upstreams=null"}, []string{"upstreams"}},
		{"Argo Workflows without a credential", "default", []string{"config.upstreams[0].kind=argo-workflows"}, []string{"argocd is of kind argo-workflows", "credential: none"}},
		{"two limits of a budget", "default", []string{"podDisruptionBudget.minAvailable=1", "podDisruptionBudget.maxUnavailable=1"}, []string{"minAvailable and maxUnavailable"}},
		{"node port of no node", "default", []string{"service.nodePort=30080"}, []string{"service.nodePort has no effect", "NodePort or LoadBalancer"}},
		{"source ranges of no load balancer", "default", []string{"service.loadBalancerSourceRanges={10.0.0.0/8}"}, []string{"service.loadBalancerSourceRanges"}},
		{"monitor without a port", "default", []string{"metrics.serviceMonitor.enabled=true"}, []string{"needs metrics.enabled"}},
		{"route to no gateway", "default", []string{"httpRoute.enabled=true"}, []string{"httpRoute.parentRefs is empty"}},
		{"one host in two routes", "default", []string{
			"httpRoute.enabled=true", "httpRoute.parentRefs[0].name=public", "grpcRoute.enabled=true",
			"grpcRoute.parentRefs[0].name=public", "grpcRoute.hostnames={argo-cd.example.com}",
		}, []string{"argo-cd.example.com is a host of httpRoute and of grpcRoute"}},
		{"certificate of no issuer", "default", []string{"certificate.enabled=true"}, []string{"certificate.issuerRef is not set"}},

		{"unknown value", "default", []string{"replicas=3"}, []string{"replicas"}},
		{"unknown nested value", "alb", []string{"ingress.alb.idleTimeout=70"}, []string{"idleTimeout"}},
		{"unknown section of authgate.yaml", "default", []string{"config.upstream=x"}, []string{"upstream"}},
		{"number as client id", "default", []string{"config.issuer.clientID=1234567"}, []string{"clientID"}},
		{"digest that is none", "default", []string{"image.digest=latest"}, []string{"digest"}},
		{"timeout taken away", "default", []string{"config.timeouts.shutdown=null"}, []string{"shutdown"}},

		{"listens on loopback", "default", []string{"config.listen=127.0.0.1:8080"}, []string{"config.listen", `write ":8080"`}},
		{"listens on a socket", "default", []string{"config.listen=unix:/run/authgate.sock"}, []string{"config.listen", `write ":8080"`}},
		{"metrics on loopback", "default", []string{"metrics.enabled=true", "config.adminListen=127.0.0.1:9090"}, []string{"config.adminListen", `write ":9090"`}},
		{"grace period too short", "default", []string{"terminationGracePeriodSeconds=64"}, []string{
			"terminationGracePeriodSeconds is 64", "65s", "remove it",
		}},
		{"timeout that is none", "default", []string{"config.timeouts.shutdown=30"}, []string{"shutdown"}},
		{"timeout in an unknown unit", "default", []string{"config.timeouts.shutdown=1d"}, []string{`config.timeouts.shutdown is "1d"`, "1m30s"}},

		{"ALB more patient than authgate", "alb", []string{"ingress.alb.idleTimeoutSeconds=71"}, []string{
			"ingress.alb.idleTimeoutSeconds is 71", "config.timeouts.idle is 75s", "502",
		}},
		{"ALB raised alone, for streams", "alb", []string{"ingress.alb.idleTimeoutSeconds=4000"}, []string{"Raise config.timeouts.idle"}},
		{"ALB less patient than the upstream", "alb", []string{"ingress.alb.idleTimeoutSeconds=55"}, []string{
			"ingress.alb.idleTimeoutSeconds is 55", "is 55s", "504",
		}},
		{"ALB not trusted", "alb", []string{"config.trustedProxies=null"}, []string{"config.trustedProxies is empty", "subnets"}},
		{"void CIDRs", "alb-all", []string{"ingress.alb.inboundCidrs={10.0.0.0/8}"}, []string{"inboundCidrs has no effect with"}},
		{"computed annotation", "alb", []string{`ingress.annotations.alb\.ingress\.kubernetes\.io/healthcheck-path=/`}, []string{
			"alb.ingress.kubernetes.io/healthcheck-path", "ingress.alb",
		}},
		{"computed load balancer attribute", "alb", []string{`ingress.alb.loadBalancerAttributes.idle_timeout\.timeout_seconds=x`}, []string{
			"loadBalancerAttributes", "idle_timeout.timeout_seconds",
		}},
		{"computed target group attribute", "alb", []string{`ingress.alb.targetGroupAttributes.deregistration_delay\.timeout_seconds=x`}, []string{
			"targetGroupAttributes", "deregistration_delay.timeout_seconds",
		}},
		{"certificate that is none", "alb", []string{"ingress.alb.certificateArns={dashboards}"}, []string{"certificateArns"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := tryRender(valuesOf(t, test.base, test.set...))
			if err == nil {
				t.Fatalf("%q renders, want an error", test.set)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q: the error does not say %q:\n%v", test.set, want, err)
				}
			}
		})
	}
}

func TestNoValuesAtAllAreRefusedWithAWayOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values map[string]any
		want   string
	}{
		{nil, "config.issuer.url is not set"},
		{map[string]any{"config": map[string]any{"issuer": map[string]any{"url": "https://sso.example.com"}}}, "config.upstreams is empty"},
	} {
		if _, err := tryRender(test.values); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.values, err, test.want)
		}
	}
}

func TestChartCanBeASubchart(t *testing.T) {
	t.Parallel()
	values := valuesOf(t, "default")
	values["global"] = map[string]any{"imageRegistry": "registry.example.com"}
	render(t, values)
}
