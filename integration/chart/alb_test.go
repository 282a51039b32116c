package chart_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const albPrefix = "alb.ingress.kubernetes.io/"

func TestALBAnnotationsFitTheReferenceDeployment(t *testing.T) {
	t.Parallel()
	ingress := ingressOf(t, render(t, valuesOf(t, "alb")))
	for name, want := range map[string]string{
		"target-type":                  "ip",
		"scheme":                       "internal",
		"listen-ports":                 `[{"HTTP": 80}, {"HTTPS": 443}]`,
		"ssl-redirect":                 "443",
		"ssl-policy":                   "ELBSecurityPolicy-TLS13-1-2-2021-06",
		"backend-protocol":             "HTTP",
		"backend-protocol-version":     "HTTP1",
		"healthcheck-path":             "/readyz",
		"healthcheck-port":             "traffic-port",
		"healthcheck-protocol":         "HTTP",
		"healthcheck-interval-seconds": "10",
		"healthcheck-timeout-seconds":  "5",
		"healthy-threshold-count":      "2",
		"unhealthy-threshold-count":    "2",
		"success-codes":                "200",
		"load-balancer-attributes":     "idle_timeout.timeout_seconds=70,routing.http.desync_mitigation_mode=defensive,routing.http.drop_invalid_header_fields.enabled=true",
		"target-group-attributes":      "deregistration_delay.timeout_seconds=60,load_balancing.algorithm.type=least_outstanding_requests",
	} {
		if got := ingress.Annotations[albPrefix+name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, absent := range []string{"group.name", "group.order", "certificate-arn", "inbound-cidrs", "security-groups", "wafv2-acl-arn"} {
		if got, ok := ingress.Annotations[albPrefix+absent]; ok {
			t.Errorf("%s is %q though no value asks for it", absent, got)
		}
	}
	if got := *ingress.Spec.IngressClassName; got != "alb" {
		t.Errorf("ingress class %q, want alb", got)
	}
}

func TestALBAnnotationsFollowTheirValues(t *testing.T) {
	t.Parallel()
	annotations := ingressOf(t, render(t, valuesOf(t, "alb-all"))).Annotations
	for name, want := range map[string]string{
		"tags":            "team=platform",
		"scheme":          "internet-facing",
		"group.name":      "dashboards",
		"group.order":     "10",
		"certificate-arn": "arn:aws:acm:eu-central-1:111122223333:certificate/one,arn:aws:acm:eu-central-1:111122223333:certificate/two",
		"security-groups": "sg-0123456789abcdef0",
		// Without it own groups leave the pods unreachable.
		"manage-backend-security-group-rules": "true",
		"wafv2-acl-arn":                       "arn:aws:wafv2:eu-central-1:111122223333:regional/webacl/one",
	} {
		if got := annotations[albPrefix+name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"load-balancer-attributes": "deletion_protection.enabled=true",
		"target-group-attributes":  "slow_start.duration_seconds=0",
	} {
		if got := annotations[albPrefix+name]; !slices.Contains(strings.Split(got, ","), want) {
			t.Errorf("%s is %q, want %s among it", name, got, want)
		}
	}
	cidrs := ingressOf(t, render(t, valuesOf(t, "alb", "ingress.alb.inboundCidrs={192.0.2.0/24,198.51.100.0/24}"))).Annotations
	if got := cidrs[albPrefix+"inbound-cidrs"]; got != "192.0.2.0/24,198.51.100.0/24" {
		t.Errorf("inbound-cidrs is %q", got)
	}
}

// Which end of a connection gives up first decides who answers the user.
func TestALBAndAuthgateGiveUpInOrder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"alb", "alb-all"} {
		r := render(t, valuesOf(t, name))
		timeouts := timeoutsOf(t, r)
		annotations := ingressOf(t, r).Annotations
		idleTimeout := attribute(t, annotations[albPrefix+"load-balancer-attributes"], "idle_timeout.timeout_seconds")
		drain := attribute(t, annotations[albPrefix+"target-group-attributes"], "deregistration_delay.timeout_seconds")
		if upstream := timeouts["upstreamDial"] + timeouts["upstreamHeader"]; upstream >= idleTimeout {
			t.Errorf("%s: the upstream may take %v, the ALB waits %v", name, upstream, idleTimeout)
		}
		if idleTimeout+5*time.Second > timeouts["idle"] {
			t.Errorf("%s: the ALB keeps idle connections for %v, authgate for %v", name, idleTimeout, timeouts["idle"])
		}
		if want := timeouts["shutdownDelay"] + timeouts["shutdown"]; drain != want {
			t.Errorf("%s: the ALB deregisters within %v, authgate drains for %v", name, drain, want)
		}
	}
}

func attribute(t testing.TB, attributes, name string) time.Duration {
	t.Helper()
	for pair := range strings.SplitSeq(attributes, ",") {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			seconds, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return time.Duration(seconds) * time.Second
		}
	}
	t.Fatalf("%q has no %s", attributes, name)
	return 0
}

func TestIngressLeadsEveryHostToAuthgate(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"alb":             {"argo-cd.example.com", "argo-workflows.example.com"},
		"ingress":         {"argo-cd.example.com", "argo-workflows.example.com"},
		"single-upstream": {""},
	} {
		ingress := ingressOf(t, render(t, valuesOf(t, name)))
		var hosts []string
		for _, rule := range ingress.Spec.Rules {
			hosts = append(hosts, rule.Host)
			for _, path := range rule.HTTP.Paths {
				if path.Path != "/" || *path.PathType != "Prefix" || path.Backend.Service.Name != "authgate" || path.Backend.Service.Port.Name != "http" {
					t.Errorf("%s: %s%s leads to %+v", name, rule.Host, path.Path, path.Backend.Service)
				}
			}
		}
		if !slices.Equal(hosts, want) {
			t.Errorf("%s: hosts %q, want %q", name, hosts, want)
		}
	}
}

func TestOtherControllersGetNoALBAnnotations(t *testing.T) {
	t.Parallel()
	ingress := ingressOf(t, render(t, valuesOf(t, "ingress")))
	for name := range ingress.Annotations {
		if strings.HasPrefix(name, albPrefix) {
			t.Errorf("%s is set for class %s", name, *ingress.Spec.IngressClassName)
		}
	}
	if len(ingress.Annotations) == 0 || len(ingress.Spec.TLS) != 1 {
		t.Errorf("annotations %v and tls %v do not follow the values", ingress.Annotations, ingress.Spec.TLS)
	}
}
