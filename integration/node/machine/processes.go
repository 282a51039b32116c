//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

func (n node) program(name string) string { return filepath.Join(n.bin, name) }

// first are those that wait for no other.
func (n node) first() []process {
	pki, accounts := n.path("pki"), "https://kubernetes.default.svc.cluster.local"
	return []process{
		{"etcd", n.program("server"), []string{
			"--data-dir=" + n.path("etcd"), "--unsafe-no-fsync",
			"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
		}},
		{"kube-apiserver", n.program("kube-apiserver"), []string{
			"--etcd-servers=" + etcdURL, "--bind-address=0.0.0.0", "--secure-port=" + apiPort, "--advertise-address=" + nodeIP,
			"--tls-cert-file=" + pki + "/apiserver.crt", "--tls-private-key-file=" + pki + "/apiserver.key",
			"--kubelet-certificate-authority=" + pki + "/ca.crt", "--kubelet-preferred-address-types=InternalIP",
			"--kubelet-client-certificate=" + pki + "/kubelet-client.crt", "--kubelet-client-key=" + pki + "/kubelet-client.key",
			"--service-account-issuer=" + accounts, "--service-account-key-file=" + pki + "/accounts.pub",
			"--service-account-signing-key-file=" + pki + "/accounts.key", "--service-cluster-ip-range=" + serviceNet,
			"--client-ca-file=" + pki + "/ca.crt", "--token-auth-file=" + n.path("etc", "tokens.csv"),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
			// The API of metrics is served by a pod.
			"--requestheader-client-ca-file=" + pki + "/ca.crt", "--requestheader-allowed-names=aggregator",
			"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--enable-aggregator-routing=true",
			"--proxy-client-cert-file=" + pki + "/aggregator.crt", "--proxy-client-key-file=" + pki + "/aggregator.key",
		}},
		{"containerd", "/usr/bin/containerd", []string{"--config", n.path("etc", "containerd.toml")}},
	}
}

// second are those that ask the API server, and containerd.
func (n node) second() []process {
	pki := n.path("pki")
	user := func(name string) []string {
		file := n.path("etc", name+".kubeconfig")
		return []string{"--kubeconfig=" + file, "--authentication-kubeconfig=" + file, "--authorization-kubeconfig=" + file, "--leader-elect=false"}
	}
	return []process{
		{"kube-controller-manager", n.program("kube-controller-manager"), append(user("controller"),
			"--use-service-account-credentials=true", "--root-ca-file="+pki+"/ca.crt",
			"--service-account-private-key-file="+pki+"/accounts.key",
			"--horizontal-pod-autoscaler-sync-period=5s", "--horizontal-pod-autoscaler-downscale-stabilization=5s")},
		{"kube-scheduler", n.program("kube-scheduler"), user("scheduler")},
		{"kube-proxy", n.program("kube-proxy"), []string{"--config=" + n.path("etc", "proxy.yaml"), "--hostname-override=" + nodeName}},
		{"kubelet", n.program("kubelet"), []string{
			"--config=" + n.path("etc", "kubelet.yaml"), "--kubeconfig=" + n.path("etc", "kubelet.kubeconfig"),
			"--root-dir=" + n.path("kubelet"), "--hostname-override=" + nodeName, "--node-ip=" + nodeIP,
		}},
	}
}

// awaitFirst waits until the API server says that it is ready, and containerd listens.
func (n node) awaitFirst(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := errors.Join(askAPIServer(ctx), n.findContainerd(ctx))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node is not ready after %s: %w", startTimeout, err)
		case <-tick.C:
		}
	}
}

var anonymous = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

func askAPIServer(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:"+apiPort+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := anonymous.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() // only its status is read
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("kube-apiserver answers %s", res.Status)
	}
	return nil
}

func (n node) findContainerd(ctx context.Context) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", n.path("containerd.sock"))
	if err != nil {
		return err
	}
	return c.Close()
}
