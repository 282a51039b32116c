package chart_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// sources is what volumes are filled from: the data of ConfigMaps and Secrets.
type sources struct {
	configMaps map[string]map[string]string
	secrets    map[string]map[string]string
}

// sourcesOf takes the ConfigMaps of the objects, and makes the Secrets that the
// user who installs has to make.
func sourcesOf(t testing.TB, objects []runtime.Object) sources {
	t.Helper()
	keys := authgate(t, nil, "keygen")
	if keys.code != 0 {
		t.Fatalf("authgate keygen: exit code %d\n%s", keys.code, keys.stderr)
	}
	login := map[string]string{"client-id": "authgate", "client-secret": "not-a-real-secret", "session-keys": keys.stdout}
	certificate, key := authority(t)
	s := sources{
		configMaps: map[string]map[string]string{
			"team-policy": {"policy.csv": "p, role:viewer, argocd, /**, GET, allow\ng, example-org:dev, role:viewer\n"},
			"team-a":      {"policy.csv": "p, role:team-a, argocd, /applications/**, GET, allow\ng, example-org:team-a, role:team-a\n"},
			"next":        {"policy.csv": "p, role:viewer, argocd, /**, GET, allow\ng, example-org:dev, role:viewer\n"},
			"team-b":      {"rows.csv": "p, role:team-b, argocd, /settings/**, GET, allow\ng, example-org:team-b, role:team-b\n"},
		},
		secrets: map[string]map[string]string{
			"authgate": login, "login": login,
			"argo-server-ca": {"ca.crt": certificate},
			"authgate-redis": {
				"redis-url": "rediss://authgate:not-a-real-password@redis.redis.svc:6379/0\n", "ca.crt": certificate, "admin-token": keys.stdout,
			},
			"authgate-tls": {corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
		},
	}
	for _, configMap := range all[*corev1.ConfigMap](objects) {
		s.configMaps[configMap.Name] = configMap.Data
	}
	return s
}

// A mounted container is a folder that holds the files it would see, and its
// environment.
type mounted struct {
	root string
	env  []string
}

// mount lays out the volumes of a container below a new folder, as the kubelet
// does at the root of the container.
func mount(t testing.TB, pod corev1.PodSpec, container corev1.Container, from sources) mounted {
	t.Helper()
	m := mounted{root: t.TempDir()}
	for _, variable := range container.Env {
		m.env = append(m.env, variable.Name+"="+variable.Value)
	}
	volumes := map[string]corev1.Volume{}
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = volume
	}
	for _, at := range container.VolumeMounts {
		volume, ok := volumes[at.Name]
		if !ok {
			t.Fatalf("%s mounts volume %s, which the pod does not have", container.Name, at.Name)
		}
		for name, data := range contents(t, volume, from) {
			m.write(t, filepath.Join(at.MountPath, name), data)
		}
	}
	return m
}

func contents(t testing.TB, volume corev1.Volume, from sources) map[string]string {
	t.Helper()
	var data map[string]string
	var items []corev1.KeyToPath
	var ok bool
	switch {
	case volume.ConfigMap != nil:
		data, ok = from.configMaps[volume.ConfigMap.Name]
		items = volume.ConfigMap.Items
	case volume.Secret != nil:
		if _, ok := from.secrets[volume.Secret.SecretName]; !ok && isOptional(volume.Secret.Optional) {
			return nil
		}
		data, ok = from.secrets[volume.Secret.SecretName]
		items = volume.Secret.Items
	case volume.Projected != nil:
		files := map[string]string{}
		for _, source := range volume.Projected.Sources {
			if _, ok := from.configMaps[source.ConfigMap.Name]; !ok && isOptional(source.ConfigMap.Optional) {
				continue
			}
			maps.Copy(files, contents(t, corev1.Volume{Name: volume.Name, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: source.ConfigMap.LocalObjectReference, Items: source.ConfigMap.Items,
			}}}, from))
		}
		return files
	case volume.EmptyDir != nil:
		if volume.Name == "git" { // as git-sync fills it
			return map[string]string{"current/policy.csv": "p, role:viewer, grafana, /**, GET, allow\ng, example-org:dev, role:viewer\n"}
		}
		return nil
	}
	if !ok {
		t.Fatalf("volume %s is filled from nothing that exists: %+v", volume.Name, volume.VolumeSource)
	}
	if items == nil {
		return data
	}
	files := map[string]string{}
	for _, item := range items {
		if files[item.Path], ok = data[item.Key]; !ok {
			t.Fatalf("volume %s wants the key %s", volume.Name, item.Key)
		}
	}
	return files
}

func isOptional(optional *bool) bool { return optional != nil && *optional }

func (m mounted) write(t testing.TB, name, data string) {
	t.Helper()
	file := filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// isAccepted lets authgate check the configuration, first by itself and then with
// every file that it names, moved to where the files are. There is no warning.
func (m mounted) isAccepted(t testing.TB, config string) {
	t.Helper()
	file := filepath.Join(m.root, config)
	accepts(t, m.env, "config", "check", "--config", file)

	m.rewrite(t, config)
	v := authgate(t, m.env, "config", "check", "--strict", "--config", file)
	if v.code != 0 || strings.Contains(v.stdout, "note:") {
		t.Errorf("config check --strict: exit code %d, want 0 and no note\n%s%s", v.code, v.stdout, v.stderr)
	}
	if !strings.Contains(v.stdout, "not checked: the policy in ConfigMap") {
		accepts(t, m.env, "policy", "lint", "--fail-on=warning", "--config", file)
	}
}

// rewrite moves the paths in a file.
func (m mounted) rewrite(t testing.TB, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, name, m.moved(string(text)))
}

// moved gives a text with the paths that the mounted files have.
func (m mounted) moved(text string) string {
	return strings.NewReplacer("/etc/authgate/", m.root+"/etc/authgate/", "/git/", m.root+"/git/").Replace(text)
}

// authority makes a certificate that signs itself, such as an upstream's caFile
// or authgate's own port has, and its key.
func authority(t testing.TB) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	coded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: coded}))
}
