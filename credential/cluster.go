package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/example-org/authgate/text"
)

// Cluster is the API server that issues tokens: that of the pod, or of KUBECONFIG. Its
// address is looked up on first use. It is safe for concurrent use.
type Cluster struct {
	log *slog.Logger

	mu     sync.Mutex
	client *http.Client // nil: not known yet
	base   *url.URL
	own    string // namespace
}

// NewCluster makes no requests.
func NewCluster(log *slog.Logger) *Cluster { return &Cluster{log: log} }

// ServiceAccount is the token of an account (TokenRequest, authentication.k8s.io/v1).
func (c *Cluster) ServiceAccount(namespace, name string) *Source {
	return newSource(namespace+"/"+name, func(ctx context.Context) (issuedToken, error) {
		return c.request(ctx, namespace, name)
	}, c.log, time.Now)
}

// requestedLifetime is the requested lifetime in seconds. The server may give less, and says
// so; 3607 would mean something else to it (pkg/serviceaccount/claims.go).
const requestedLifetime = 3600

// maxResponse is far more than a TokenRequest needs.
const maxResponse = 64 << 10

// tokenRequest is the needed part of k8s.io/api's type: all of it would be a third of the
// binary.
type tokenRequest struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Spec       tokenRequestSpec   `json:"spec"`
	Status     tokenRequestStatus `json:"status,omitzero"`
}

type tokenRequestSpec struct {
	ExpirationSeconds int64 `json:"expirationSeconds"`
}

type tokenRequestStatus struct {
	Token               string    `json:"token"`
	ExpirationTimestamp time.Time `json:"expirationTimestamp"`
}

func (c *Cluster) request(ctx context.Context, namespace, name string) (issuedToken, error) {
	client, base, err := c.Connect()
	if err != nil {
		return issuedToken{}, err
	}
	body, err := json.Marshal(tokenRequest{
		APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest", Spec: tokenRequestSpec{requestedLifetime},
	})
	if err != nil {
		return issuedToken{}, &UnreachableError{err.Error()}
	}
	at := base.JoinPath("api", "v1", "namespaces", namespace, "serviceaccounts", name, "token")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return issuedToken{}, &UnreachableError{err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return issuedToken{}, &UnreachableError{text.RedactError(err)}
	}
	defer res.Body.Close() // only read
	switch res.StatusCode {
	case http.StatusCreated, http.StatusOK:
		return parseTokenResponse(res.Body)
	case http.StatusUnauthorized:
		return issuedToken{}, &UnauthorizedError{}
	case http.StatusForbidden:
		return issuedToken{}, &ForbiddenError{namespace, name}
	case http.StatusNotFound:
		return issuedToken{}, &NotFoundError{namespace, name}
	default: // only the code: its own words may repeat the request
		return issuedToken{}, &UnreachableError{"status " + strconv.Itoa(res.StatusCode)}
	}
}

// parseTokenResponse uses the expiry that the server gives, and does not compute one: the
// server may shorten the requested lifetime.
func parseTokenResponse(body io.Reader) (issuedToken, error) {
	var response tokenRequest
	if err := json.NewDecoder(io.LimitReader(body, maxResponse)).Decode(&response); err != nil {
		return issuedToken{}, &UnreachableError{"the response is not a TokenRequest"}
	}
	if response.Status.ExpirationTimestamp.IsZero() {
		return issuedToken{}, &UnreachableError{"the response lacks the token's expiry"}
	}
	return issuedToken{response.Status.Token, response.Status.ExpirationTimestamp}, nil
}

// Namespace is authgate's own: that of the pod, or of KUBECONFIG.
func (c *Cluster) Namespace() (string, error) {
	_, _, err := c.Connect()
	return c.own, err
}

// Connect finds the API server, and gives a client that authenticates as authgate itself.
// client-go reads authgate's own token from its file again every minute.
func (c *Cluster) Connect() (*http.Client, *url.URL, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, c.base, nil
	}
	loading := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{},
	)
	config, err := loading.ClientConfig()
	if err != nil {
		return nil, nil, &NoClusterError{err.Error()}
	}
	own, _, err := loading.Namespace()
	if err != nil {
		return nil, nil, &NoClusterError{err.Error()}
	}
	config.UserAgent = "authgate"
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, nil, &NoClusterError{err.Error()}
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, &NoClusterError{err.Error()}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.client, c.base, c.own = client, base, own
	return client, base, nil
}
