package chart_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Clients of the traffic port must use its protocol: a kubelet that
// asks a port with TLS in plain gets 400, and ends the pod for it.
func TestKubeletAndALBSpeakWhatThePortSpeaks(t *testing.T) {
	t.Parallel()
	for name, wants := range map[string]struct {
		probe      corev1.URIScheme
		alb, named string
	}{
		"alb": {corev1.URISchemeHTTP, "HTTP", "http"},
		"tls": {corev1.URISchemeHTTPS, "HTTPS", "https"},
	} {
		r := render(t, valuesOf(t, name))
		container := deploymentOf(t, r).Spec.Template.Spec.Containers[0]
		for what, probe := range map[string]*corev1.Probe{"liveness": container.LivenessProbe, "readiness": container.ReadinessProbe} {
			if got := probe.HTTPGet.Scheme; got != wants.probe {
				t.Errorf("%s: the %s probe speaks %q, want %s", name, what, got, wants.probe)
			}
		}
		annotations := ingressOf(t, r).Annotations
		for _, annotation := range []string{"backend-protocol", "healthcheck-protocol"} {
			if got := annotations[albPrefix+annotation]; got != wants.alb {
				t.Errorf("%s: %s is %q, want %s", name, annotation, got, wants.alb)
			}
		}
		for _, port := range serviceOf(t, r).Spec.Ports {
			if want := wants.named; port.AppProtocol == nil || *port.AppProtocol != want {
				t.Errorf("%s: port %s of the Service is not said to speak %s", name, port.Name, want)
			}
		}
	}
}
