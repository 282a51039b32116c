package e2e_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// The dashboards of a stage find calls as the real servers do, with the same
// libraries. Each trick below is shown to work on them, or no test of authgate would
// mean anything, and then not to work through authgate.

// sent is a request as an attacker writes it.
type sent struct {
	method, target string
	header         map[string]string
	body           string
}

// send makes it at an address, under a host name.
func send(t *testing.T, address, host string, r sent) visitor.Answer {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, "http://127.0.0.1:"+at.Port()+r.target, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(req) // follows nothing
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() // only read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return visitor.Answer{Status: res.StatusCode, Header: res.Header, Body: string(body)}
}

func (r sent) with(name, value string) sent {
	r.header = maps.Clone(r.header)
	r.header[name] = value
	return r
}

// account is a token that the stage's Argo Workflows takes directly.
func account(t *testing.T, s *stage.Stage) string {
	t.Helper()
	for token := range s.Files.Accounts() {
		return "Bearer " + token
	}
	t.Fatal("no account")
	return ""
}

func has(t *testing.T, a visitor.Answer, name string) bool {
	t.Helper()
	if a.Status != http.StatusOK {
		t.Fatalf("the list answers %d: %s", a.Status, a.Body)
	}
	return strings.Contains(a.Body, name)
}

func TestAFormRunsNoOtherMethodThanWasJudged(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	token, err := s.Token(t.Context(), "alice") // who may do everything: it is about what runs
	if err != nil {
		t.Fatal(err)
	}
	_, behind := s.DashboardURLs()
	form := sent{
		http.MethodPost, "/api/v1/workflows/argo/build-image-x7k2p",
		map[string]string{"Content-Type": "application/x-www-form-urlencoded", "X-HTTP-Method-Override": "DELETE"},
		"",
	}
	bearer := "Bearer " + token
	list := sent{http.MethodGet, "/api/v1/workflows/argo", map[string]string{"Authorization": bearer}, ""}
	if a := send(t, s.Workflows, stage.WorkflowsHost, form.with("Authorization", bearer)); a.Status != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d %s", a.Status, a.Body)
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		json := sent{form.method, form.target, map[string]string{"Content-Type": "application/json", name: "DELETE", "Authorization": bearer}, "{}"}
		send(t, s.Workflows, stage.WorkflowsHost, json)
	}
	if !has(t, send(t, s.Workflows, stage.WorkflowsHost, list), "build-image-x7k2p") {
		t.Error("the workflow is gone")
	}
	if a := send(t, behind, "", form.with("Authorization", account(t, s))); a.Status != http.StatusOK {
		t.Fatalf("without authgate the trick answers %d %s", a.Status, a.Body)
	}
	if has(t, send(t, behind, "", list.with("Authorization", account(t, s))), "build-image-x7k2p") {
		t.Error("the trick does not work, and so this test proves nothing")
	}
}

func TestAnEncodedSlashIsAllowedOnlyWhereTheServerKeepsIt(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := signedIn(t, s, "alice")
	_, behind := s.DashboardURLs()
	one := sent{http.MethodGet, "/api/v1/workflows/argo%2Fbuild-image-x7k2p", map[string]string{"Authorization": account(t, s)}, ""}
	if a := send(t, behind, "", one); a.Status != http.StatusOK || strings.Contains(a.Body, "items") {
		t.Fatalf("without authgate it is no single workflow: %d %s", a.Status, a.Body)
	}
	open(t, alice, s.Workflows+"/")
	if a := fetch(t, alice, http.MethodGet, s.Workflows+one.target); a.Status != http.StatusBadRequest {
		t.Errorf("Workflows: %d %s", a.Status, a.Body)
	}
	if a := fetch(t, alice, http.MethodGet, s.ArgoCD+"/api/v1/applications/guestbook%2Fsync"); a.Status != http.StatusBadRequest {
		t.Errorf("an application: %d %s", a.Status, a.Body)
	}
	for path, want := range map[string]string{
		"/api/v1/clusters/https%3A%2F%2Fkubernetes.default.svc?id.type=url":     "https://kubernetes.default.svc",
		"/api/v1/clusters/https%3a%2f%2fkubernetes.default.svc":                 "https://kubernetes.default.svc",
		"/api/v1/repositories/git%40github.com%3Ao%2Fr.git":                     "git@github.com:o/r.git",
		"/api/v1/repositories/https%3A%2F%2Fgithub.com%2Fexample-org%2Fapp.git": "https://github.com/example-org/app.git",
	} {
		a := fetch(t, alice, http.MethodGet, s.ArgoCD+path)
		var got struct{ Name string }
		if err := json.Unmarshal([]byte(a.Body), &got); a.Status != http.StatusOK || err != nil || got.Name != want {
			t.Errorf("%s: %d %s, want %s", path, a.Status, a.Body, want)
		}
	}
}

func TestATrailingSlashIsKept(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := signedIn(t, s, "alice")
	open(t, alice, s.Workflows+"/")
	for path, want := range map[string]int{"/api/v1/workflows/": http.StatusOK, "/api/v1/workflows": http.StatusNotFound, "/api/v1/workflow-events/x/": http.StatusNotFound} {
		if a := fetch(t, alice, http.MethodGet, s.Workflows+path); a.Status != want {
			t.Errorf("%s: %d, want %d: %s", path, a.Status, want, a.Body)
		}
	}
}

// Identity headers that a client sends with its credential are ignored.
func TestNoHeaderNamesAnotherUser(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	token, err := s.Token(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	behind, _ := s.DashboardURLs()
	list := sent{http.MethodGet, "/api/v1/applications", map[string]string{"Authorization": "Bearer " + token}, ""}
	for name, value := range map[string]string{
		"Grpc-Metadata-Token": "another", "Grpc-Metadata-Authorization": "Bearer another", "Cookie": "argocd.token=another; argocd.token-1=another",
		"Argocd-User-Groups": "admins", "Argocd-Username": "root",
	} {
		if a := send(t, s.ArgoCD, stage.ArgoCDHost, list.with(name, value)); a.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if saw := s.LastArgoCDHeader(); strings.Contains(saw.Get(name), "another") || strings.HasPrefix(name, "Argocd-") && saw.Get(name) != "" {
			t.Errorf("Argo CD saw %s: %s", name, saw.Get(name))
		}
	}
	if a := send(t, behind, "", list.with("Grpc-Metadata-Token", "another")); a.Status != http.StatusUnauthorized {
		t.Errorf("without authgate it answers %d, and so this test proves nothing", a.Status)
	}
	// The cookie is all that these two read, and a client's own would be another user.
	extension := sent{http.MethodGet, "/extensions/sample/x", list.header, ""}
	if a := send(t, s.ArgoCD, stage.ArgoCDHost, extension.with("Cookie", "argocd.token=another")); a.Status != http.StatusOK {
		t.Errorf("an extension: %d %s", a.Status, a.Body)
	}
}

func TestAnAnonymousWebhookPassesUnchangedAndWithoutACredential(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	before, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Files.WritePolicy(before + "p, system:anonymous, argocd, /api/webhook, POST, allow\n"); err != nil {
		t.Fatal(err)
	}
	hook := sent{http.MethodPost, "/api/webhook", map[string]string{
		"Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=abc", "Authorization": "Basic aGFyYm9yOng=",
	}, "{\"ref\" :\t\"refs/heads/main\"}\r\n\x00"}
	eventually(t, "the webhook to pass", func() bool {
		return send(t, s.ArgoCD, stage.ArgoCDHost, hook).Status == http.StatusOK
	})
	if a := send(t, s.ArgoCD, stage.ArgoCDHost, hook); a.Body != hook.body {
		t.Errorf("the body arrives as %q", a.Body)
	}
	saw := s.LastArgoCDHeader()
	for name, value := range hook.header {
		if saw.Get(name) != value {
			t.Errorf("%s arrives as %q", name, saw.Get(name))
		}
	}
	if saw.Get("Cookie") != "" || saw.Get("X-Forwarded-User") != "" {
		t.Errorf("a user is named: %v", saw)
	}
}

// argocd is what the command sends: its token in a header of that name, and nothing
// in Authorization; over gRPC, and over gRPC-web with --grpc-web.
type argocd func(ctx context.Context, method, token, in string) (string, error)

// commands are its two ways.
func commands(t *testing.T, s *stage.Stage) map[string]argocd {
	t.Helper()
	conn := client(t, s, stage.ArgoCDHost, grpc.WithUserAgent("argocd-client/v3.6.0"))
	return map[string]argocd{
		"gRPC": func(ctx context.Context, method, token, in string) (string, error) {
			out := new(text)
			err := conn.Invoke(metadata.AppendToOutgoingContext(ctx, "token", token), method, wrapperspb.String(in), out)
			return out.GetValue(), err
		},
		"gRPC-web": func(_ context.Context, method, token, in string) (string, error) {
			message, err := proto.Marshal(wrapperspb.String(in))
			if err != nil {
				return "", err
			}
			body := string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))) + string(message)
			a := send(t, s.ArgoCD, stage.ArgoCDHost, sent{http.MethodPost, method, map[string]string{
				"Content-Type": "application/grpc-web+proto", "Token": token, "User-Agent": "argocd-client/v3.6.0",
			}, body})
			if a.Status != http.StatusOK {
				t.Errorf("gRPC-web is answered with %d", a.Status)
			}
			return readWeb(t, a)
		},
	}
}

// readWeb takes an answer of gRPC-web apart: frames of messages, and one of trailers
// (grpc/grpc doc/PROTOCOL-WEB.md).
func readWeb(t *testing.T, a visitor.Answer) (string, error) {
	t.Helper()
	header := a.Header.Clone()
	out := new(text)
	for rest := []byte(a.Body); len(rest) >= 5; {
		size := int(binary.BigEndian.Uint32(rest[1:5]))
		frame := rest[5 : 5+size]
		if rest[0]&0x80 == 0 {
			if err := proto.Unmarshal(frame, out); err != nil {
				return "", err
			}
		}
		for line := range bytes.SplitSeq(frame, []byte("\r\n")) {
			if name, value, ok := strings.Cut(string(line), ":"); ok && rest[0]&0x80 != 0 {
				header.Set(name, strings.TrimSpace(value))
			}
		}
		rest = rest[5+size:]
	}
	if code := header.Get("Grpc-Status"); code != "0" {
		return "", webError{code, header.Get("Grpc-Message")}
	}
	return out.GetValue(), nil
}

type webError struct{ code, message string }

func (e webError) Error() string { return "status " + e.code + ": " + e.message }

func failed(err error, code codes.Code) bool {
	if web, ok := err.(webError); ok {
		return web.code == map[codes.Code]string{codes.Unauthenticated: "16", codes.PermissionDenied: "7"}[code] && web.message != ""
	}
	return status.Code(err) == code
}

func TestTheArgoCDCommandListsAndSyncs(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	before, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Files.WritePolicy(before + `
p, system:anonymous, argocd, /version.VersionService/Version, POST, allow
p, role:viewer, argocd, /application.ApplicationService/List*, POST, allow
`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tokens := map[string]string{}
	for _, login := range []string{"alice", "bob"} {
		if tokens[login], err = s.Token(ctx, login); err != nil {
			t.Fatal(err)
		}
	}
	const service = "/application.ApplicationService/"
	for way, argocd := range commands(t, s) {
		// It asks for the version first, with an empty token where it has none.
		eventually(t, "the version", func() bool {
			version, err := argocd(ctx, "/version.VersionService/Version", "", "")
			return err == nil && strings.Contains(version, "v3.6.0")
		})
		if _, err := argocd(ctx, service+"List", "", ""); !failed(err, codes.Unauthenticated) {
			t.Errorf("%s: an anonymous client lists: %v", way, err)
		}
		for _, login := range []string{"alice", "bob"} {
			if list, err := argocd(ctx, service+"List", tokens[login], ""); err != nil || !strings.Contains(list, "guestbook") {
				t.Errorf("%s: %s lists: %v %s", way, login, err, list)
			}
		}
		if synced, err := argocd(ctx, service+"Sync", tokens["alice"], "guestbook"); err != nil || !strings.Contains(synced, `"Synced"`) {
			t.Errorf("%s: alice syncs: %v %s", way, err, synced)
		}
		if _, err := argocd(ctx, service+"Sync", tokens["bob"], "payments"); !failed(err, codes.PermissionDenied) {
			t.Errorf("%s: bob syncs: %v", way, err)
		}
		// JSON on the same port: another connection of the server's.
		list := sent{http.MethodGet, "/api/v1/applications", map[string]string{"Authorization": "Bearer " + tokens["alice"]}, ""}
		if !has(t, send(t, s.ArgoCD, stage.ArgoCDHost, list), "guestbook") {
			t.Errorf("%s: no JSON on the same port", way)
		}
	}
}

// `argocd app wait` holds a stream.
func TestTheArgoCDCommandWatches(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	token, err := s.Token(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "token", token), time.Minute)
	defer cancel()
	conn := client(t, s, stage.ArgoCDHost)
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/application.ApplicationService/Watch")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(wrapperspb.String("")); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	next := func() string {
		event := new(text)
		if err := stream.RecvMsg(event); err != nil {
			t.Fatal(err)
		}
		return event.GetValue()
	}
	for range 3 {
		next()
	}
	if _, err := commands(t, s)["gRPC"](t.Context(), "/application.ApplicationService/Sync", token, "guestbook"); err != nil {
		t.Fatal(err)
	}
	if event := next(); !strings.Contains(event, "MODIFIED") {
		t.Errorf("the stream tells %s", event)
	}
}
