package chart_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
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
// person who installs has to make.
func sourcesOf(t testing.TB, objects []runtime.Object) sources {
	t.Helper()
	keys := authgate(t, nil, "keygen")
	if keys.code != 0 {
		t.Fatalf("authgate keygen: exit code %d\n%s", keys.code, keys.stderr)
	}
	login := map[string]string{"client-id": "authgate", "client-secret": "not-a-real-secret", "session-keys": keys.stdout}
	certificate, key := authority(t)
	s := sources{
		configMaps: map[string]map[string]string{},
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
		data, ok = from.secrets[volume.Secret.SecretName]
		items = volume.Secret.Items
	case volume.EmptyDir != nil:
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

// isAccepted lets authgate judge the configuration, first by itself and then
// with every file that it names, moved to where the files are.
func (m mounted) isAccepted(t testing.TB, config string) {
	t.Helper()
	file := filepath.Join(m.root, config)
	accepts(t, m.env, "config", "check", "--config", file)

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	moved := bytes.ReplaceAll(text, []byte("/etc/authgate/"), []byte(m.root+"/etc/authgate/"))
	if err := os.WriteFile(file, moved, 0o600); err != nil {
		t.Fatal(err)
	}
	accepts(t, m.env, "config", "check", "--strict", "--config", file)
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
