package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/identity/clilogin"
	"github.com/example-org/authgate/text"
)

// execCredential is what kubectl reads from a program that a kubeconfig names:
// ExecCredential of client.authentication.k8s.io, of which v1 and v1beta1 are the
// same (k8s.io/client-go/pkg/apis/clientauthentication).
type execCredential struct {
	APIVersion string               `json:"apiVersion"`
	Kind       string               `json:"kind"`
	Status     execCredentialStatus `json:"status"`
}

type execCredentialStatus struct {
	ExpirationTimestamp time.Time `json:"expirationTimestamp"`
	Token               string    `json:"token"`
}

const (
	execGroup   = "client.authentication.k8s.io/"
	execV1      = execGroup + "v1"
	execV1beta1 = execGroup + "v1beta1"
)

// execVersion is the version that the kubeconfig asks for: kubectl takes no other.
func execVersion(getenv func(string) string) (string, error) {
	asked := getenv("KUBERNETES_EXEC_INFO")
	if asked == "" { // run by hand, or by a kubectl that does not say
		return execV1, nil
	}
	var request struct {
		APIVersion string `json:"apiVersion"`
	}
	if json.Unmarshal([]byte(asked), &request) != nil {
		return "", errors.New("KUBERNETES_EXEC_INFO is not the JSON that kubectl sets; unset it")
	}
	if request.APIVersion != execV1 && request.APIVersion != execV1beta1 {
		return "", fmt.Errorf("the kubeconfig asks for user.exec.apiVersion %q; write %s there",
			text.Escape(request.APIVersion), execV1)
	}
	return request.APIVersion, nil
}

func printExecCredential(w io.Writer, version string, token clilogin.Token) error {
	return cli.WriteError(json.NewEncoder(w).Encode(execCredential{
		APIVersion: version, Kind: "ExecCredential",
		Status: execCredentialStatus{ExpirationTimestamp: token.Expiry.UTC(), Token: token.Raw},
	}))
}
