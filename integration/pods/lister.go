package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
)

// pod is what is needed of a pod.
type pod struct {
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Spec struct {
		Containers []struct{ Name string }
	}
}

// account is where a pod finds the token of its ServiceAccount.
const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

// listPods asks the API server with the account of the own pod.
func listPods(ctx context.Context, namespace, labels string) ([]pod, error) {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA of the API server is no PEM certificate")
	}
	address := "https://kubernetes.default.svc/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods?labelSelector=" + url.QueryEscape(labels)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(token))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() // only read
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("listing pods: %s", res.Status)
	}
	var list struct{ Items []pod }
	err = json.NewDecoder(res.Body).Decode(&list)
	return list.Items, err
}
