package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// blockOf returns the block of a page that names a file.
func blockOf(t *testing.T, page, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```\\w+ " + regexp.QuoteMeta(name) + "\n(.*?)^```$")
	match := block.FindSubmatch(text)
	if match == nil {
		t.Fatalf("%s shows no %s", page, name)
	}
	return string(match[1])
}

// TestTheValuesOfTheEKSPageInstall renders docs/eks.md as its helm install does.
func TestTheValuesOfTheEKSPageInstall(t *testing.T) {
	t.Parallel()
	values, err := chartutil.ReadValues([]byte(blockOf(t, "docs/eks.md", "values.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	values["policy"] = blockOf(t, "docs/eks.md", "policy.csv")
	r := render(t, values)

	deployment := deploymentOf(t, r)
	pod := deployment.Spec.Template.Spec
	mount(t, pod, pod.Containers[0], sourcesOf(t, r.objects)).isAccepted(t, "/etc/authgate/config/authgate.yaml")

	ingress := ingressOf(t, r)
	for _, annotation := range []string{"certificate-arn", "subnets", "ssl-redirect", "scheme"} {
		if ingress.Annotations[albPrefix+annotation] == "" {
			t.Errorf("the ALB has no %s", annotation)
		}
	}
	if len(ingress.Spec.Rules) != 2 {
		t.Errorf("external-dns finds %d hosts", len(ingress.Spec.Rules))
	}
	if got := configOf(t, r)["issuer"].(map[string]any)["backchannelURL"]; got != "http://argocd-server.argocd.svc:80/api/dex" {
		t.Errorf("the issuer is reached at %v", got)
	}
	if len(all[*networkingv1.NetworkPolicy](r.objects)) == 0 {
		t.Error("no NetworkPolicy")
	}
	if secrets := all[*corev1.Secret](r.objects); len(secrets) != 0 {
		t.Errorf("%d Secrets in values", len(secrets))
	}
}

// TestTheNetworkPolicyOfTheHardeningPageSelectsTheChartsPods compares docs/hardening.md with
// the labels that the chart writes.
func TestTheNetworkPolicyOfTheHardeningPageSelectsTheChartsPods(t *testing.T) {
	t.Parallel()
	object, err := decode(blockOf(t, "docs/hardening.md", "networkpolicy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	peer := object.(*networkingv1.NetworkPolicy).Spec.Ingress[0].From[0]
	pods := deploymentOf(t, render(t, valuesOf(t, "default"))).Spec.Template.Labels
	if !labelSelector(t, peer.PodSelector).Matches(labelSet(pods)) {
		t.Errorf("%v does not select pods with %v", peer.PodSelector, pods)
	}
}
