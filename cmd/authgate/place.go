package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/target"
)

// question is METHOD and TARGET of a command line, and the policy that is asked.
type question struct {
	*loadedPolicy
	method string
	at     place
}

func (f *policyFlags) question(cmd *cobra.Command, method, name string) (*question, error) {
	q := &question{}
	var err error
	if q.method, err = parseMethod(method); err != nil {
		return nil, err
	}
	if q.loadedPolicy, err = f.load(cmd); err != nil {
		return nil, err
	}
	q.at, err = q.parsePlace(name)
	return q, err
}

// parseMethod takes one method, in any case. GET|POST, as it stands in rows, would
// be asked for as a method that nobody sends.
func parseMethod(s string) (string, error) {
	method := strings.ToUpper(s)
	strange := func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' }
	if method == "" || strings.ContainsFunc(method, strange) {
		return "", fmt.Errorf("method %q is not one method; write one, such as GET", s)
	}
	return method, nil
}

// place is a TARGET of the command line.
type place struct {
	upstream string // empty where a refused path leaves it open
	path     target.Path
	shown    string // path as it is told: canonical, or as written where it is refused
	raw      string // path as it was written
	refused  error  // why authgate would refuse the path before any policy is asked
}

// parsePlace reads UPSTREAM:/path or, with a configuration, a URL.
func (l *loadedPolicy) parsePlace(s string) (place, error) {
	if scheme, rest, isURL := strings.Cut(s, "://"); isURL && (scheme == "http" || scheme == "https") {
		return l.parseURL(s, rest)
	}
	upstream, path, ok := strings.Cut(s, ":")
	if !ok || upstream == "" || !strings.HasPrefix(path, "/") {
		return place{}, fmt.Errorf("target %q is not UPSTREAM:/path", s)
	}
	if upstream == "*" {
		return place{}, fmt.Errorf("target %q: * is no upstream; name one", s)
	}
	if l.config != nil && !slices.Contains(l.config.UpstreamNames(), upstream) {
		what := fmt.Sprintf("the configuration has no upstream %q", upstream)
		if hint := fault.DidYouMean(upstream, l.config.UpstreamNames()); hint != "" {
			what += "; " + hint
		}
		return place{}, errors.New(what)
	}
	at := newPlace(path, l.Quirks(upstream))
	at.upstream = upstream
	return l.served(at), nil
}

// served refuses the encoded slashes that the proxy would. Without a configuration
// it is not known which.
func (l *loadedPolicy) served(at place) place {
	if l.config == nil || at.refused != nil || !at.path.HasCodedSlash() {
		return at
	}
	i := slices.IndexFunc(l.config.Upstreams, func(u config.Upstream) bool { return u.Name == at.upstream })
	if i >= 0 { // else another authgate serves it, and its configuration says which
		at.refused = codedSlashRefusal(&l.config.Upstreams[i], at.path)
	}
	return at
}

// codedSlashRefusal is nil, or says what would let the path through.
func codedSlashRefusal(u *config.Upstream, path target.Path) error {
	if proxy.TakesCodedSlash(u, path) {
		return nil
	}
	what := "the path holds an encoded slash (%2F), which " + u.Name + " does not take there"
	if u.Kind != config.KindGeneric {
		return target.Refusal(what + ": a server of kind " + string(u.Kind) + " splits the path at it")
	}
	segments := strings.Split(path.String(), "/")
	for i, s := range segments {
		if strings.Contains(s, "%2F") {
			segments[i] = target.AnySegment
		}
	}
	return target.Refusal(fmt.Sprintf("%s; if its server keeps it inside of a segment, add %q to its encodedSlash", what, strings.Join(segments, "/")))
}

func newPlace(path string, quirks target.Quirks) place {
	canonical, err := target.ParseWith(path, quirks)
	if err != nil {
		return place{shown: path, raw: path, refused: err}
	}
	return place{path: canonical, shown: canonical.String(), raw: path}
}

// unmatched says that no row matches, and what may be the reason where it is not
// known which upstreams there are: a slip in the name.
func (l *loadedPolicy) unmatched(upstream string) string {
	const reason = "no row matches"
	if l.config != nil || slices.Contains(l.Upstreams(), upstream) {
		return reason
	}
	if hint := fault.DidYouMean(upstream, l.Upstreams()); hint != "" {
		return reason + ", and none names " + upstream + "; " + hint
	}
	return reason
}

// parseURL finds the upstream of a URL as the proxy does: by host, then by the
// longest prefix of the canonical path. The path is taken as it was written,
// because net/url would decode it.
func (l *loadedPolicy) parseURL(s, rest string) (place, error) {
	if l.config == nil {
		return place{}, fmt.Errorf("target %q is a URL, which takes --config to tell its upstream; or write UPSTREAM:/path", s)
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	u, err := url.Parse("//" + rest[:end])
	if err != nil {
		return place{}, fmt.Errorf("target: %w", err)
	}
	path := rest[end:]
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	at := newPlace(path, proxy.HostQuirks(l.config.Upstreams, strings.ToLower(u.Hostname())))
	found, known := proxy.Route(l.config.Upstreams, strings.ToLower(u.Hostname()), at.path.String())
	switch {
	case !known:
		return place{}, fmt.Errorf("no upstream of the configuration has the host %s", u.Hostname())
	case at.refused != nil:
		return at, nil
	case found < 0:
		return place{}, fmt.Errorf("no upstream of the configuration serves %s under this path", u.Hostname())
	}
	serves := &l.config.Upstreams[found]
	at.upstream = serves.Name
	if lacking := at.path.Quirks() &^ serves.Quirks(); lacking != 0 {
		at.path, at.refused = target.Path{}, lacking.Refusal()
	}
	return l.served(at), nil
}
