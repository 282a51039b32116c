package configmap

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/example-org/authgate/text"
)

const (
	maxObject    = 8 << 20         // a ConfigMap has at most 1 MiB, and JSON may escape each byte
	watchTimeout = 5 * time.Minute // after which the server ends a watch
	silenceLimit = time.Minute     // on top of that, for a connection that died silently
)

// api is the part of the API server that concerns one ConfigMap. The types below are the
// needed parts of k8s.io/api's: all of it would be a third of the binary.
type api struct {
	client          *http.Client
	base            *url.URL
	namespace, name string
}

type object struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Data       map[string]string `json:"data"`
	BinaryData map[string][]byte `json:"binaryData"`
}

type objectList struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Items []object `json:"items"`
}

// event is one of a watch. Its object is a status in the event ERROR.
type event struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

type status struct {
	Code int `json:"code"`
}

// errExpiredVersion says that the server has forgotten the version from which to watch.
var errExpiredVersion = errors.New("the resource version has expired")

// list gives the ConfigMap (nil: it does not exist), and the version from which to watch. It
// selects one by a field: that is how RBAC permits list and watch of one name.
func (a *api) list(ctx context.Context) (*object, string, error) {
	body, err := a.get(ctx, url.Values{})
	if err != nil {
		return nil, "", err
	}
	defer body.Close() // only read
	var all objectList
	if err := json.NewDecoder(io.LimitReader(body, maxObject)).Decode(&all); err != nil {
		return nil, "", a.unreachable("the response is not a list of ConfigMaps")
	}
	for _, o := range all.Items {
		if o.Metadata.Name == a.name {
			return &o, all.Metadata.ResourceVersion, nil
		}
	}
	return nil, all.Metadata.ResourceVersion, nil
}

// watch calls changed for each change since version, with nil after a deletion. It returns nil
// when the server ended the watch in order.
func (a *api) watch(ctx context.Context, version string, started func(), changed func(*object)) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout+silenceLimit)
	defer cancel()
	body, err := a.get(ctx, url.Values{
		"watch": {"1"}, "resourceVersion": {version}, "timeoutSeconds": {strconv.Itoa(int(watchTimeout.Seconds()))},
	})
	if err != nil {
		return err
	}
	defer body.Close() // only read
	started()
	limited := &io.LimitedReader{R: body}
	for decoder := json.NewDecoder(limited); ; {
		limited.N = maxObject
		var e event
		switch err := decoder.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return a.unreachable("the watch broke off: " + text.RedactError(err))
		}
		if err := a.apply(e, changed); err != nil {
			return err
		}
	}
}

func (a *api) apply(e event, changed func(*object)) error {
	switch e.Type {
	case "ADDED", "MODIFIED":
		var o object
		if err := json.Unmarshal(e.Object, &o); err != nil {
			return a.unreachable("an event of the watch is not a ConfigMap")
		}
		if o.Metadata.Name == a.name {
			changed(&o)
		}
	case "DELETED":
		changed(nil)
	case "BOOKMARK": // a newer version to watch from; each watch begins with a list instead
	case "ERROR":
		var s status
		if json.Unmarshal(e.Object, &s) == nil && s.Code == http.StatusGone {
			return errExpiredVersion
		}
		return a.statusError(s.Code)
	default:
		return a.unreachable("the watch sent an unknown event")
	}
	return nil
}

func (a *api) get(ctx context.Context, query url.Values) (io.ReadCloser, error) {
	at := a.base.JoinPath("api", "v1", "namespaces", a.namespace, "configmaps")
	query.Set("fieldSelector", "metadata.name="+a.name)
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, a.unreachable("the request cannot be made")
	}
	req.Header.Set("Accept", "application/json")
	res, err := a.client.Do(req)
	if err != nil {
		return nil, a.unreachable(text.RedactError(err))
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	_ = res.Body.Close() // only the code: its own words may repeat the request
	if res.StatusCode == http.StatusGone {
		return nil, errExpiredVersion
	}
	return nil, a.statusError(res.StatusCode)
}

func (a *api) statusError(code int) error {
	switch code {
	case http.StatusUnauthorized:
		return &UnauthorizedError{a.path()}
	case http.StatusForbidden:
		return &ForbiddenError{a.namespace, a.name}
	default:
		return a.unreachable("status " + strconv.Itoa(code))
	}
}

func (a *api) unreachable(reason string) error { return &UnreachableError{a.path(), reason} }

func (a *api) path() string { return a.namespace + "/" + a.name }
