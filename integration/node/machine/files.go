//go:build linux

package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
)

// users are who may speak to the API server, with their groups.
var users = map[string]struct{ name, group string }{
	"admin":      {"admin", "system:masters"},
	"controller": {"system:kube-controller-manager", ""},
	"scheduler":  {"system:kube-scheduler", ""},
	"proxy":      {"system:kube-proxy", ""},
	"kubelet":    {"system:node:" + nodeName, "system:nodes"},
}

// writeFiles writes what the processes of the node read.
func (n node) writeFiles() error {
	for _, folder := range []string{"pki", "log", "etc", "cni"} {
		if err := os.MkdirAll(n.path(folder), 0o755); err != nil {
			return err
		}
	}
	if err := n.writeCertificates(); err != nil {
		return err
	}
	files := map[string]string{
		"cni/10-pods.conflist": n.network(), "etc/containerd.toml": n.containerd(), "etc/kubelet.yaml": n.kubelet(), "etc/proxy.yaml": n.proxy(),
	}
	var tokens strings.Builder
	for file, user := range users {
		token := rand.Text()
		fmt.Fprintf(&tokens, "%s,%s,%s,\"%s\"\n", token, user.name, user.name, user.group)
		files["etc/"+file+".kubeconfig"] = n.kubeconfig(token)
	}
	files["etc/tokens.csv"] = tokens.String()
	for name, content := range files {
		if err := os.WriteFile(n.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (n node) kubeconfig(token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "https://127.0.0.1:%s", certificate-authority: %s}}]
users: [{name: user, user: {token: %s}}]
contexts: [{name: node, context: {cluster: node, user: user}}]
current-context: node
`, apiPort, n.path("pki", "ca.crt"), token)
}

// network is how pods are connected: by a bridge, with the translation of addresses that
// leave it. It does not enforce NetworkPolicies.
func (n node) network() string {
	return fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "%s"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
`, podNet)
}

// containerd may not lower the score by which the kernel chooses processes to kill, where
// it lacks CAP_SYS_RESOURCE.
func (n node) containerd() string {
	return fmt.Sprintf(`version = 2
root = %[1]q
state = "/run/containerd"
[grpc]
  address = %[2]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "local.test/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %[3]q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`, n.path("containerd"), n.path("containerd.sock"), n.path("cni"))
}

// kubelet also runs on cgroup version 1, on small disks, and with swap.
func (n node) kubelet() string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[1]s/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: %[1]s/kubelet.crt
tlsPrivateKeyFile: %[1]s/kubelet.key
clusterDomain: cluster.local
clusterDNS: [%[2]s]
resolvConf: ""
containerRuntimeEndpoint: unix://%[3]s
cgroupDriver: cgroupfs
cgroupRoot: /%[4]s
failCgroupV1: false
failSwapOn: false
volumePluginDir: %[5]s
podLogsDir: /var/log/pods
# Changes of a ConfigMap reach pods after at most this time. The default is a minute.
syncFrequency: 10s
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%, nodefs.inodesFree: 1%%}
`, n.path("pki"), dnsService, n.path("containerd.sock"), n.cgroup(), n.path("volume-plugins"))
}

// proxy may not change how many connections the kernel follows.
func (n node) proxy() string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: %s}
mode: iptables
clusterCIDR: %s
conntrack: {maxPerCore: 0, min: 0}
`, n.path("etc", "proxy.kubeconfig"), podNet)
}
