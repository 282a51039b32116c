package chart_test

import (
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

func TestMonitorsScrapeTheMetricsPort(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "monitoring"))
	monitor := one[*monitoringv1.ServiceMonitor](t, r.objects)
	if monitor.Labels["release"] != "prometheus" {
		t.Errorf("Prometheus selects monitors by a label; there are %v", monitor.Labels)
	}
	selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	var scraped []string
	for _, service := range all[*corev1.Service](r.objects) {
		if selector.Matches(labels.Set(service.Labels)) {
			scraped = append(scraped, service.Name+":"+service.Spec.Ports[0].Name)
		}
	}
	if endpoint := monitor.Spec.Endpoints[0]; !slices.Equal(scraped, []string{"authgate-metrics:" + endpoint.Port}) || endpoint.Path != "/metrics" {
		t.Errorf("%s scrapes %q at %s", monitor.Name, scraped, endpoint.Path)
	}

	r = render(t, valuesOf(t, "pod-monitor"))
	pods := one[*monitoringv1.PodMonitor](t, r.objects)
	if selector, err = metav1.LabelSelectorAsSelector(&pods.Spec.Selector); err != nil {
		t.Fatal(err)
	}
	template := deploymentOf(t, r).Spec.Template
	if !selector.Matches(labels.Set(template.Labels)) || *pods.Spec.PodMetricsEndpoints[0].Port != template.Spec.Containers[0].Ports[1].Name {
		t.Errorf("%+v does not scrape the pods", pods.Spec)
	}
}

func TestRulesAndDashboardAreTheFilesOfTheChart(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "monitoring"))
	rule := one[*monitoringv1.PrometheusRule](t, r.objects)
	var alerts monitoringv1.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(chartFile(t, "files/alerts.yaml"), &alerts); err != nil {
		t.Fatal(err)
	}
	if n := len(rule.Spec.Groups); n != len(alerts.Groups)+1 || rule.Spec.Groups[n-1].Name != "ours" {
		t.Errorf("%d groups of rules, want %d of the chart and one of the values", n, len(alerts.Groups))
	}
	dashboard := named[*corev1.ConfigMap](t, r.objects, "authgate-dashboard")
	if dashboard.Labels["grafana_dashboard"] != "1" || dashboard.Data["authgate.json"] != string(chartFile(t, "files/dashboard.json")) {
		t.Errorf("the dashboard has the labels %v, or is not the file", dashboard.Labels)
	}
}

func TestAutoscalerOwnsTheNumberOfPods(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "autoscaling"))
	d := deploymentOf(t, r)
	scaler := one[*autoscalingv2.HorizontalPodAutoscaler](t, r.objects)
	if d.Spec.Replicas != nil {
		t.Errorf("each upgrade sets %d replicas against the autoscaler", *d.Spec.Replicas)
	}
	if scaler.Spec.ScaleTargetRef.Name != d.Name || *scaler.Spec.MinReplicas != 3 || scaler.Spec.MaxReplicas != 12 || len(scaler.Spec.Metrics) != 2 {
		t.Errorf("%+v", scaler.Spec)
	}
	// Two of the autoscaler's pods at least: one[] fails without a budget.
	one[*policyv1.PodDisruptionBudget](t, render(t, valuesOf(t, "autoscaling", "replicaCount=1")).objects)
}

func TestRoutesLeadToThePortsOfTheirProtocol(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "gateway"))
	web, grpc := one[*gatewayv1.HTTPRoute](t, r.objects), one[*gatewayv1.GRPCRoute](t, r.objects)
	if got := web.Spec.Rules[0].BackendRefs[0]; string(got.Name) != "authgate" || *got.Port != serviceOf(t, r).Spec.Ports[0].Port {
		t.Errorf("the HTTPRoute leads to %+v", got)
	}
	service := named[*corev1.Service](t, r.objects, string(grpc.Spec.Rules[0].BackendRefs[0].Name))
	if port := service.Spec.Ports[0]; *port.AppProtocol != "kubernetes.io/h2c" || *grpc.Spec.Rules[0].BackendRefs[0].Port != port.Port {
		t.Errorf("the GRPCRoute leads to %+v", port)
	}
	hosts := one[*gatewayv1.HTTPRoute](t, render(t, valuesOf(t, "gateway", "grpcRoute.enabled=false", "httpRoute.hostnames=null")).objects).Spec.Hostnames
	if want := []gatewayv1.Hostname{"argo-cd.example.com", "argo-cd-grpc.example.com"}; !slices.Equal(hosts, want) {
		t.Errorf("hosts %q, want those of the upstreams: %q", hosts, want)
	}
}

func TestNetworkPolicyAdmitsTheLoadBalancerAndPrometheus(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "network-policy"))
	rules := named[*networkingv1.NetworkPolicy](t, r.objects, "authgate")
	if !labels.SelectorFromSet(rules.Spec.PodSelector.MatchLabels).Matches(labels.Set(deploymentOf(t, r).Spec.Template.Labels)) {
		t.Errorf("it selects %v", rules.Spec.PodSelector.MatchLabels)
	}
	web, metrics := rules.Spec.Ingress[0], rules.Spec.Ingress[1]
	if web.Ports[0].Port.StrVal != "http" || len(web.From) != 2 || web.From[0].IPBlock.CIDR != "10.0.32.0/20" || web.From[1].IPBlock.CIDR != "192.0.2.7/32" {
		t.Errorf("%+v", web)
	}
	if metrics.Ports[0].Port.StrVal != "metrics" || metrics.From[0].NamespaceSelector == nil {
		t.Errorf("%+v", metrics)
	}

	var namespaces []string
	var ports []int32
	for _, rule := range rules.Spec.Egress {
		for _, to := range rule.To {
			if to.NamespaceSelector != nil {
				namespaces = append(namespaces, to.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"])
			}
		}
		for _, port := range rule.Ports {
			ports = append(ports, port.Port.IntVal)
		}
	}
	if want := []string{"argocd", "redis"}; !slices.Equal(namespaces, want) {
		t.Errorf("authgate may reach the namespaces %q, want %q", namespaces, want)
	}
	if want := []int32{53, 53, 443, 8443, 6379}; !slices.Equal(ports, want) {
		t.Errorf("authgate may reach the ports %v, want %v", ports, want)
	}

	open := named[*networkingv1.NetworkPolicy](t, render(t, valuesOf(t, "default", "networkPolicy.enabled=true")).objects, "authgate").Spec
	if len(open.Ingress) != 1 || open.Ingress[0].From != nil || slices.Contains(open.PolicyTypes, networkingv1.PolicyTypeEgress) {
		t.Errorf("without further values: %+v", open)
	}
}

// The example and the chart admit the same pods to Dex.
func TestNetworkPolicyAdmitsAuthgateToDex(t *testing.T) {
	t.Parallel()
	example, err := decodeAll(read(t, "argo-cd/argocd-dex-networkpolicy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r := render(t, valuesOf(t, "network-policy"))
	for namespace, rules := range map[string]*networkingv1.NetworkPolicy{
		"authgate": one[*networkingv1.NetworkPolicy](t, example),
		"login":    named[*networkingv1.NetworkPolicy](t, r.objects, "authgate-to-dex"),
	} {
		if rules.Namespace != "argocd" || rules.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"] != "argocd-dex-server" {
			t.Errorf("%s selects %v in %s", rules.Name, rules.Spec.PodSelector.MatchLabels, rules.Namespace)
		}
		rule := rules.Spec.Ingress[0]
		from := rule.From[0]
		if len(rule.From) != 1 || from.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != namespace ||
			!labels.SelectorFromSet(from.PodSelector.MatchLabels).Matches(labels.Set(deploymentOf(t, r).Spec.Template.Labels)) {
			t.Errorf("%s admits %+v", rules.Name, rule.From)
		}
		if rule.Ports[0].Port.IntVal != 5556 {
			t.Errorf("%s opens %v", rules.Name, rule.Ports[0].Port)
		}
	}
}

func TestServiceFollowsItsValues(t *testing.T) {
	t.Parallel()
	service := serviceOf(t, render(t, valuesOf(t, "load-balancer")))
	spec := service.Spec
	if spec.Type != corev1.ServiceTypeLoadBalancer || *spec.LoadBalancerClass != "service.k8s.aws/nlb" || len(spec.LoadBalancerSourceRanges) != 1 ||
		spec.ExternalTrafficPolicy != "Local" || *spec.InternalTrafficPolicy != "Cluster" || *spec.TrafficDistribution != "PreferClose" ||
		*spec.IPFamilyPolicy != "PreferDualStack" || len(spec.IPFamilies) != 1 || spec.Ports[0].NodePort != 30443 || spec.Ports[0].Port != 443 {
		t.Errorf("%+v", spec)
	}
	if service.Labels["team"] != "platform" || service.Annotations["service.beta.kubernetes.io/aws-load-balancer-name"] != "authgate" {
		t.Errorf("labels %v, annotations %v", service.Labels, service.Annotations)
	}
	if got := serviceOf(t, render(t, valuesOf(t, "default", "service.clusterIP=None"))).Spec.ClusterIP; got != "None" {
		t.Errorf("clusterIP %q", got)
	}
}

func TestCertificateIsWhatThePortUses(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "certificate"))
	certificate := one[*certManagerCertificate](t, r.objects)
	for _, name := range []string{"authgate.login.svc", "argo-cd.example.com"} {
		if !slices.Contains(certificate.Spec.DNSNames, name) {
			t.Errorf("the certificate does not name %s: %q", name, certificate.Spec.DNSNames)
		}
	}
	var mounted string
	for _, volume := range deploymentOf(t, r).Spec.Template.Spec.Volumes {
		if volume.Name == "tls" {
			mounted = volume.Secret.SecretName
		}
	}
	if mounted != certificate.Spec.SecretName {
		t.Errorf("cert-manager writes %s, the pods mount %q", certificate.Spec.SecretName, mounted)
	}
	if got := deploymentOf(t, r).Spec.Template.Spec.Containers[0].ReadinessProbe.HTTPGet.Scheme; got != corev1.URISchemeHTTPS {
		t.Errorf("the kubelet asks by %s", got)
	}
}

func TestALBHasATargetGroupForGRPC(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "alb-grpc"))
	ingress := ingressOf(t, r)
	paths := ingress.Spec.Rules[0].HTTP.Paths
	service := named[*corev1.Service](t, r.objects, paths[0].Backend.Service.Name)
	if paths[0].Backend.Service.Port.Name != service.Spec.Ports[0].Name || paths[1].Backend.Service.Name != "authgate" {
		t.Errorf("the ALB tries %+v, then %+v", paths[0].Backend.Service, paths[1].Backend.Service)
	}
	if got := ingress.Annotations[albPrefix+"conditions."+service.Name]; !strings.Contains(got, `"values":["application/grpc","application/grpc+*"]`) { // not application/grpc-web
		t.Errorf("every request matches the rule for gRPC: %q", got)
	}
	for name, want := range map[string]string{"backend-protocol-version": "GRPC", "healthcheck-path": "/AWS.ALB/healthcheck", "success-codes": "0"} {
		if got := service.Annotations[albPrefix+name]; got != want {
			t.Errorf("%s of %s is %q, want %q", name, service.Name, got, want)
		}
	}
	if n := len(all[*corev1.Service](render(t, valuesOf(t, "ingress", "ingress.alb.grpc.enabled=true")).objects)); n != 1 {
		t.Errorf("%d Services for a controller that is not an ALB's, want 1", n)
	}
}

func TestNginxNeedsNoValuesOfTheALB(t *testing.T) {
	t.Parallel()
	ingressOf(t, render(t, valuesOf(t, "ingress", "config.trustedProxies=null")))
	ingress := ingressOf(t, render(t, valuesOf(t, "ingress", "ingress.alb.enabled=true")))
	if _, ok := ingress.Annotations[albPrefix+"scheme"]; !ok {
		t.Error("ingress.alb.enabled is ignored for a class of another name")
	}
}
