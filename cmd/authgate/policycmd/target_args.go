package policycmd

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// query is METHOD and TARGET of a command line, and the policy that is asked.
type query struct {
	*loadedPolicy
	method string
	target parsedTarget
}

func (f *policyFlags) newQuery(cmd *cobra.Command, method, name string) (*query, error) {
	if _, err := parseMethod(method); err != nil { // before any file is read
		return nil, err
	}
	loaded, err := f.load(cmd)
	if err != nil {
		return nil, err
	}
	return loaded.newQuery(cmd.ErrOrStderr(), method, name)
}

// newQuery makes a question of METHOD and TARGET.
func (l *loadedPolicy) newQuery(stderr io.Writer, method, name string) (*query, error) {
	q := &query{loadedPolicy: l}
	var err error
	if q.method, err = parseMethod(method); err != nil {
		return nil, err
	}
	if q.target, err = q.parseTarget(q.method, name); err != nil {
		return nil, err
	}
	if q.target.isEndpoint {
		return nil, endpointError(q.method, name)
	}
	return q, q.checkMethod(stderr, q.method)
}

// endpointError says why no row is asked.
func endpointError(method, name string) error {
	return fmt.Errorf("authgate answers %s itself; no row applies", strings.TrimSpace(method+" "+name))
}

// checkMethod refuses a method that looks misspelt, and warns of others that no
// registry and no row names.
func (l *loadedPolicy) checkMethod(stderr io.Writer, method string) error {
	hint, unknown := l.UnknownMethod(method)
	switch {
	case hint != "":
		return fmt.Errorf("method %q is not known; %s", method, hint)
	case unknown:
		warn(stderr, "method "+method+" is not registered, and no row names it")
	}
	return nil
}

// warnUnknown warns of subjects that no row mentions.
func (l *loadedPolicy) warnUnknown(stderr io.Writer, subjects ...string) {
	for _, name := range l.Unknown(subjects...) {
		warn(stderr, name.String())
	}
}

func warn(stderr io.Writer, message string) {
	s := cli.NewPrinter(stderr)
	s.Line("authgate: %s %s", s.Warn("warning:"), text.Escape(message))
}

// parseMethod takes one method, in any case. GET|POST, as it stands in rows, would
// be looked up as a method that no client sends.
func parseMethod(s string) (string, error) {
	method := strings.ToUpper(s)
	invalid := func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' }
	if method == "" || strings.ContainsFunc(method, invalid) {
		return "", fmt.Errorf("method %q is not one method; write one, such as GET", s)
	}
	return method, nil
}

// parsedTarget is a TARGET of the command line.
type parsedTarget struct {
	upstream   string // empty where a refused path leaves it open
	path       target.Path
	display    string // path as it is shown: canonical, or as written if it is refused
	raw        string // path as it was written
	refused    error  // why authgate would refuse the path before any policy is asked
	isEndpoint bool   // authgate answers it itself, without asking the policy
}

// parseTarget reads UPSTREAM:/path or, with a configuration, a URL.
func (l *loadedPolicy) parseTarget(method, s string) (parsedTarget, error) {
	if scheme, rest, isURL := strings.Cut(s, "://"); isURL && (scheme == "http" || scheme == "https") {
		return l.parseURL(method, s, rest)
	}
	upstream, path, ok := strings.Cut(s, ":")
	if !ok || upstream == "" || !strings.HasPrefix(path, "/") {
		return parsedTarget{}, fmt.Errorf("target %q is not UPSTREAM:/path", s)
	}
	if upstream == "*" {
		return parsedTarget{}, fmt.Errorf("target %q: * is not an upstream; name one", s)
	}
	if err := l.checkUpstream(upstream); err != nil {
		return parsedTarget{}, err
	}
	at := newTarget(path, l.Quirks(upstream))
	at.upstream = upstream
	return l.checkEncodedSlash(l.markEndpoint(method, at)), nil
}

// checkUpstream refuses a name that nothing names: neither the configuration nor,
// without one, any row. Rows for the upstream * name none. Where all rows are such,
// any name will do.
func (l *loadedPolicy) checkUpstream(name string) error {
	known, what := l.upstreams(), "no row names the upstream %q"
	if l.config != nil {
		what = "the configuration has no upstream %q"
	} else if len(known) == 0 {
		return nil
	}
	if slices.Contains(known, name) {
		return nil
	}
	what = fmt.Sprintf(what, name)
	if hint := fault.DidYouMean(name, known); hint != "" {
		return unknownUpstreamError(what + "; " + hint)
	}
	what += "; known are " + text.JoinFew(known, ", ", 8)
	if l.config == nil {
		what += ", and --config FILE would name those of a configuration"
	}
	return unknownUpstreamError(what)
}

// unknownUpstreamError is the error of an upstream that nothing names.
type unknownUpstreamError string

func (e unknownUpstreamError) Error() string { return string(e) }

func isUnknownUpstream(err error) bool {
	var unnamed unknownUpstreamError
	return errors.As(err, &unnamed)
}

// markEndpoint marks what authgate answers itself.
func (l *loadedPolicy) markEndpoint(method string, at parsedTarget) parsedTarget {
	at.isEndpoint = admin.IsHealthCheck(method, at.raw) || l.config != nil &&
		proxy.IsEndpoint(l.config.PathPrefix, at.path)
	return at
}

// checkEncodedSlash refuses the encoded slashes that the proxy would. Without a configuration
// it is not known which.
func (l *loadedPolicy) checkEncodedSlash(at parsedTarget) parsedTarget {
	if l.config == nil || at.refused != nil || !at.path.HasEncodedSlash() {
		return at
	}
	i := slices.IndexFunc(l.config.Upstreams, func(u config.Upstream) bool { return u.Name == at.upstream })
	if i >= 0 { // else another authgate serves it, and its configuration says which
		at.refused = encodedSlashRefusal(&l.config.Upstreams[i], at.path)
	}
	return at
}

// encodedSlashRefusal is nil, or says what would let the path through.
func encodedSlashRefusal(u *config.Upstream, path target.Path) error {
	if proxy.AllowsEncodedSlash(u, path) {
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
	return target.Refusal(fmt.Sprintf("%s; if its server keeps it inside of a segment, add %q to its encodedSlash", what,
		strings.Join(segments, "/")))
}

func newTarget(path string, quirks target.Quirks) parsedTarget {
	canonical, err := target.ParseWith(path, quirks)
	if err != nil {
		return parsedTarget{display: path, raw: path, refused: err}
	}
	return parsedTarget{path: canonical, display: canonical.String(), raw: path}
}

const noRowMatches = "no row matches"

// parseURL finds the upstream of a URL as the proxy does: by host, then by the
// longest prefix of the canonical path. The path is taken as it was written,
// because net/url would decode it.
func (l *loadedPolicy) parseURL(method, s, rest string) (parsedTarget, error) {
	if l.config == nil {
		return parsedTarget{},
			fmt.Errorf("target %q is a URL, which needs --config to find its upstream; or write UPSTREAM:/path", s)
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	u, err := url.Parse("//" + rest[:end])
	if err != nil {
		return parsedTarget{}, fmt.Errorf("target %q has no valid host", s)
	}
	path := rest[end:]
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	at := l.markEndpoint(method, newTarget(path, proxy.HostQuirks(l.config.Upstreams, strings.ToLower(u.Hostname()))))
	if admin.IsHealthCheck(method, path) { // on any host
		return at, nil
	}
	found, known := proxy.Route(l.config.Upstreams, strings.ToLower(u.Hostname()), at.path.String())
	switch {
	case !known:
		return parsedTarget{}, fmt.Errorf("no upstream of the configuration has the host %s", u.Hostname())
	case at.refused != nil || at.isEndpoint:
		return at, nil
	case found < 0:
		return parsedTarget{}, fmt.Errorf("no upstream of the configuration serves %s under this path", u.Hostname())
	}
	upstream := &l.config.Upstreams[found]
	at.upstream = upstream.Name
	if missing := at.path.Quirks() &^ upstream.Quirks(); missing != 0 {
		at.path, at.refused = target.Path{}, missing.Refusal()
	}
	return l.checkEncodedSlash(at), nil
}
