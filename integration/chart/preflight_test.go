package chart_test

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func labelSet(set map[string]string) labels.Set { return labels.Set(set) }

func labelSelector(t testing.TB, selector *metav1.LabelSelector) labels.Selector {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// preflight runs the containers of the hook on what they would see.
func preflight(t testing.TB, r rendered, secrets map[string]map[string]string) map[string]verdict {
	t.Helper()
	job := one[*batchv1.Job](t, r.objects)
	if got := job.Annotations["helm.sh/hook"]; got != "pre-install,pre-upgrade" {
		t.Errorf("the hook runs at %q", got)
	}
	pod := job.Spec.Template.Spec
	from := sourcesOf(t, nil) // which others have applied
	from.secrets = secrets
	for _, configMap := range all[*corev1.ConfigMap](r.objects) {
		if configMap.Annotations["helm.sh/hook"] != "" {
			from.configMaps[configMap.Name] = configMap.Data // no other exists before the release
		}
	}
	ends := map[string]verdict{}
	for _, container := range pod.Containers {
		m := mount(t, pod, container, from)
		m.rewrite(t, "/etc/authgate/config/authgate.yaml")
		args := make([]string, len(container.Args))
		for i, arg := range container.Args {
			args[i] = m.moved(arg)
		}
		ends[container.Name] = authgate(t, m.env, args...)
	}
	return ends
}

// What Helm takes for a hook is not part of the release: the preflight comes first, its
// files before its Job, and nothing of it stays.
func TestHelmRunsTheHooksInTheirOrder(t *testing.T) {
	t.Parallel()
	files := maps.Clone(render(t, valuesOf(t, "default")).files)
	maps.DeleteFunc(files, func(name, _ string) bool { return path.Base(name) == "NOTES.txt" })
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(hooks, func(a, b *release.Hook) int { return a.Weight - b.Weight })
	var before []string
	for _, hook := range hooks {
		if !slices.Contains(hook.DeletePolicies, release.HookSucceeded) || !slices.Contains(hook.DeletePolicies, release.HookBeforeHookCreation) {
			t.Errorf("%s %s stays: %q", hook.Kind, hook.Name, hook.DeletePolicies)
		}
		if slices.Contains(hook.Events, release.HookPreInstall) && slices.Contains(hook.Events, release.HookPreUpgrade) {
			before = append(before, hook.Kind)
		} else if !slices.Equal(hook.Events, []release.HookEvent{release.HookTest}) {
			t.Errorf("%s %s runs at %q", hook.Kind, hook.Name, hook.Events)
		}
	}
	if want := []string{"ConfigMap", "Job"}; !slices.Equal(before, want) {
		t.Errorf("before a release: %q, want %q", before, want)
	}
	for _, manifest := range manifests {
		if kind := manifest.Head.Kind; kind == "Job" || kind == "Pod" {
			t.Errorf("a %s is part of the release", kind)
		}
	}
}

func TestPreflightAcceptsEveryFeature(t *testing.T) {
	t.Parallel()
	for _, name := range ciNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, valuesOf(t, name))
			job := one[*batchv1.Job](t, r.objects)
			obeysRestricted(t, &job.Spec.Template.ObjectMeta, &job.Spec.Template.Spec)
			for container, end := range preflight(t, r, sourcesOf(t, r.objects).secrets) {
				if end.code != 0 {
					t.Errorf("%s: exit code %d\n%s%s", container, end.code, end.stdout, end.stderr)
				}
			}
		})
	}
}

func TestPreflightRejectsFilesThatPodsWouldNotStartWith(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, set, container, want string }{
		{"unknown upstream in a policy that is watched", `watchPolicyConfigMap=true,policy=p\, role:viewer\, argo\, /**\, GET\, allow`, "policy-lint", "argo"},
		{"unknown upstream", `policy=p\, role:viewer\, argo\, /**\, GET\, allow`, "config-check", "argo"},
		{"row with a fault", `policy=p\, role:viewer\, argocd\, /**\, GET\, maybe`, "policy-lint", "maybe"},
		{"unknown key", "config.session.lifetimes=1h", "config-check", "lifetimes"},
		{"duration without unit", "config.session.lifetime=soon", "config-check", "session.lifetime"},
		{"policy that does not exist", "existingPolicyConfigMap=absent", "policy-lint", "policy.csv"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := render(t, valuesOf(t, "default", test.set))
			end := preflight(t, r, sourcesOf(t, nil).secrets)[test.container]
			if end.code == 0 || !strings.Contains(end.stdout+end.stderr, test.want) {
				t.Errorf("%s: exit code %d, want a failure that names %q\n%s%s", test.container, end.code, test.want, end.stdout, end.stderr)
			}
		})
	}
}

// The pods wait for a Secret that comes later, and the release can be installed.
func TestPreflightDoesNotWaitForTheSecret(t *testing.T) {
	t.Parallel()
	for container, end := range preflight(t, render(t, valuesOf(t, "default")), nil) {
		if end.code != 0 {
			t.Errorf("%s: exit code %d\n%s%s", container, end.code, end.stdout, end.stderr)
		}
	}
}

func TestPreflightFailsOnTheSeverityOfItsValue(t *testing.T) {
	t.Parallel()
	// A role without members is a warning.
	const policy = `policy=p\, role:viewer\, argocd\, /**\, GET\, allow`
	for set, want := range map[string]int{"preflight.failOn=error": 0, "preflight.failOn=warning": 1} {
		if got := preflight(t, render(t, valuesOf(t, "default", policy, set)), nil)["policy-lint"].code; got != want {
			t.Errorf("--set %s: exit code %d, want %d", set, got, want)
		}
	}
	if jobs := all[*batchv1.Job](render(t, valuesOf(t, "default", "preflight.enabled=false")).objects); len(jobs) != 0 {
		t.Errorf("%d Jobs without preflight", len(jobs))
	}
}
