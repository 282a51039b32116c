package chart_test

import (
	"slices"
	"testing"

	"helm.sh/helm/v3/pkg/strvals"
)

func TestAuthgateAcceptsWhatEveryFeatureMounts(t *testing.T) {
	t.Parallel()
	for _, name := range ciNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, valuesOf(t, name))
			from := sourcesOf(t, r.objects)
			pod := deploymentOf(t, r).Spec.Template.Spec
			container := pod.Containers[0]
			const config = "/etc/authgate/config/authgate.yaml"
			if want := []string{"serve", "--config", config}; !slices.Equal(container.Args[:3], want) {
				t.Fatalf("args %q, want %q", container.Args, want)
			}
			mount(t, pod, container, from).isAccepted(t, config)
		})
	}
}

func TestKeysFromTheConfigReachTheFileUnchanged(t *testing.T) {
	t.Parallel()
	values := valuesOf(t, "default",
		"config.limits.headerBytes=1310720", // a float64 by then: not 1.31072e+06
		"config.session.cookie.name=on",     // a boolean to YAML 1.1
		"config.issuer.clientID.env=ID",     // instead of the file that the chart adds
	)
	// Nothing is a template.
	values["config"].(map[string]any)["audit"] = map[string]any{"output": "{{ .Release }}"}
	got := dataOf(t, render(t, values).objects, "authgate.yaml")
	want := `adminListen: 127.0.0.1:9090
audit:
  output: '{{ .Release }}'
issuer:
  backchannelURL: http://argocd-server.argocd.svc:80/api/dex
  clientID:
    env: ID
  clientSecret:
    file: /etc/authgate/secrets/client-secret
  url: https://argo-cd.example.com/api/dex
limits:
  headerBytes: 1310720
listen: :8080
policy:
  files:
  - /etc/authgate/policy/policy.csv
session:
  cookie:
    name: "on"
  keys:
    file: /etc/authgate/secrets/session-keys
timeouts:
  idle: 75s
  shutdown: 30s
  shutdownDelay: 30s
  upstreamDial: 5s
  upstreamHeader: 50s
trustedProxies: []
upstreams:
- hosts:
  - argo-cd.example.com
  identity:
    credential: idToken
  kind: argo-cd
  name: argocd
  url: http://argocd-server.argocd.svc:80`
	if got != want {
		t.Errorf("authgate.yaml differs:\n%s", firstDifference(want, got))
	}
}

// A policy is judged by authgate, with its line ends and its blanks; the chart
// has no business improving it.
func TestPolicyArrivesByteForByte(t *testing.T) {
	t.Parallel()
	const row = "p, role:viewer, argocd, /**, GET, allow"
	for name, policy := range map[string]string{
		"plain":                  row + "\n",
		"no newline at the end":  row,
		"newlines at the end":    row + "\n\n\n",
		"CRLF":                   row + "\r\n" + row + "\r\n",
		"leading blanks":         "    " + row + "\n",
		"leading tab":            "\t" + row + "\n",
		"template":               "# {{ .Values.nothing.here }} {{ fail }}\n" + row,
		"quotes and backslashes": `"p", 'role:\n', "a""b", \u0041, %41, $HOME, C:\` + "\n",
		"YAML":                   "# - a: &b *b\n#--- \n#...\n# y\n#!!str on\n" + row,
		"blanks at line ends":    row + "  \n" + row + "\t\n",
		"not ASCII":              "# Müller, 見る, \u0085 \u200b \u2028 \ufeff \U0001f600\n",
		"BOM":                    "\ufeff" + row,
		"control characters":     "# \x01 \x1b \x7f\n" + row,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := valuesOf(t, "default")
			// As --set-file does it.
			err := strvals.ParseIntoFile("policy=policy.csv", values, func([]rune) (any, error) { return policy, nil })
			if err != nil {
				t.Fatal(err)
			}
			if got := dataOf(t, render(t, values).objects, "policy.csv"); got != policy {
				t.Errorf("policy.csv is\n%q, want\n%q", got, policy)
			}
		})
	}
}
