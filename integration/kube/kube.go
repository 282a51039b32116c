//go:build unix

// Package kube runs a real Kubernetes API server, with its etcd, on loopback. There is no
// node and no scheduler, but ServiceAccounts, their tokens, RBAC and the validation of
// manifests are real.
//
// The version is pinned in tools/kubernetes/go.mod, a module of its own.
package kube

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/example-org/authgate/integration/program"
)

// Server is a running API server. Its methods are used by one goroutine.
type Server struct {
	URL    string
	CAFile string // of its certificate
	Issuer string // who signs the tokens of ServiceAccounts

	*Client // set once the server answers

	admin     string // a token that may do everything
	processes []*program.Process
	ports     []*program.Port
	published *httptest.Server
}

// startTimeout bounds how long each of the two may take to answer.
const startTimeout = time.Minute

// Start runs an API server without any object of its own, its files in dir. The folder
// bin has its programs (Build).
func Start(ctx context.Context, bin, dir string) (_ *Server, err error) {
	s := &Server{admin: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	var numbers [3]int
	for i := range numbers {
		port, err := program.ReservePort(ctx)
		if err != nil {
			return nil, err
		}
		s.ports = append(s.ports, port)
		numbers[i] = port.Number
	}
	client, peer := loopback("http", numbers[0]), loopback("http", numbers[1])
	s.URL, s.CAFile = loopback("https", numbers[2]), filepath.Join(dir, "certs", "apiserver.crt") // self-signed
	if err := s.writeFiles(dir); err != nil {
		return nil, fmt.Errorf("writing files of kube-apiserver: %w", err)
	}
	if err := s.run(ctx, dir, "etcd", filepath.Join(bin, Etcd), "--data-dir", filepath.Join(dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return nil, err
	}
	err = s.run(ctx, dir, "kube-apiserver", filepath.Join(bin, APIServer), "--etcd-servers="+client,
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(numbers[2]), "--cert-dir="+filepath.Join(dir, "certs"),
		"--service-account-key-file="+filepath.Join(dir, "sa.pub"), "--service-account-signing-key-file="+filepath.Join(dir, "sa.key"),
		"--service-account-issuer="+s.Issuer, "--api-audiences=https://kubernetes.default.svc",
		"--token-auth-file="+filepath.Join(dir, "tokens.csv"), "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
		"--disable-admission-plugins=ServiceAccount")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s, s.processes[1].Await(ctx, s.ready)
}

// publish lets every client see who signs ServiceAccount tokens, and by which key, as
// managed clusters do: on another host than the API server, whose certificate no
// known CA signed. (The server itself publishes for an issuer with https alone.)
func (s *Server) publish(key *rsa.PublicKey, der []byte) {
	id := sha256.Sum256(der) // pkg/serviceaccount/jwt.go, keyIDFromPublicKey
	about := &oidctest.Server{
		PublicKeys: []oidctest.PublicKey{{PublicKey: key, KeyID: base64.RawURLEncoding.EncodeToString(id[:]), Algorithm: oidc.RS256}},
		Algorithms: []string{oidc.RS256},
	}
	s.published = httptest.NewServer(about)
	s.Issuer = s.published.URL
	about.SetIssuer(s.Issuer)
}

func loopback(scheme string, port int) string {
	return scheme + "://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func (s *Server) run(ctx context.Context, dir, name, path string, args ...string) error {
	log := filepath.Join(dir, name+".log")
	p, err := program.Start(ctx, program.Command{Name: name, Path: path, Args: args, Dir: dir, Stdout: log, Stderr: log})
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return err
}

// writeFiles makes the key that signs ServiceAccount tokens, and a user who is none.
func (s *Server) writeFiles(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	s.publish(&key.PublicKey, public)
	for name, content := range map[string][]byte{
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"sa.pub":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"tokens.csv": []byte(s.admin + ",admin,1,system:masters\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ready reports whether the server answers, and has the namespace that it makes for
// itself.
func (s *Server) ready(ctx context.Context) (err error) {
	if s.Client == nil { // the certificate is there once the server has begun
		if s.Client, err = Connect(s.config(s.admin)); err != nil {
			return err
		}
	}
	return s.Ready(ctx)
}

func (s *Server) config(token string) *rest.Config {
	return &rest.Config{Host: s.URL, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAFile: s.CAFile}, QPS: -1}
}

// Kubeconfig writes the file by which a client with token finds the server.
func (s *Server) Kubeconfig(path, token string) error {
	config := api.NewConfig()
	config.Clusters["test"] = &api.Cluster{Server: s.URL, CertificateAuthority: s.CAFile}
	config.AuthInfos["test"] = &api.AuthInfo{Token: token}
	config.Contexts["test"] = &api.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	return clientcmd.WriteToFile(*config, path)
}

// Stop ends both.
func (s *Server) Stop() error {
	var errs []error
	for i := len(s.processes) - 1; i >= 0; i-- {
		errs = append(errs, s.processes[i].Stop())
	}
	for _, port := range s.ports {
		errs = append(errs, port.Release())
	}
	if s.published != nil {
		s.published.Close()
	}
	s.processes, s.ports = nil, nil
	return errors.Join(errs...)
}
