package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// setCalls is a stage with a gRPC server next to Argo CD.
func setCalls(t *testing.T) (*stage.Stage, *calls) {
	t.Helper()
	server := serveCalls(t)
	s := set(t, stage.Options{Config: func(yaml string, _ stage.Files) string {
		return yaml + "  - {name: calls, hosts: [" + stage.ArgoCDHost + "], path: /example.Echo, url: \"http://" + server.address + "\", kind: argo-cd}\n"
	}})
	return s, server
}

// client is grpc-go, by prior knowledge, under a host name.
func client(t *testing.T, s *stage.Stage, host string, more ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	at, err := url.Parse(s.ArgoCD)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("127.0.0.1:"+at.Port(), append(more,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(host+":"+at.Port()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// as gives calls the session of a user, and an end: a stream that hangs must not
// take the tests with it.
func as(t *testing.T, s *stage.Stage, v *visitor.Visitor) context.Context {
	t.Helper()
	cookies, err := v.Cookies(s.ArgoCD)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, c := range cookies {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "cookie", strings.Join(pairs, "; "))
}

func say(ctx context.Context, conn *grpc.ClientConn, word string, options ...grpc.CallOption) (string, error) {
	out := new(text)
	err := conn.Invoke(ctx, echo+"Say", wrapperspb.String(word), out, options...)
	return out.GetValue(), err
}

// hasStatus fails unless an error is a status of gRPC that says why.
func hasStatus(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if s := status.Convert(err); s.Code() != want || s.Message() == "" || strings.Contains(s.Message(), "HTTP status") {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func talk(t *testing.T, ctx context.Context, conn *grpc.ClientConn) (grpc.ClientStream, func(string) error) {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, echo+"Talk")
	if err != nil {
		t.Fatal(err)
	}
	return stream, func(word string) error {
		if err := stream.SendMsg(wrapperspb.String(word)); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		back := new(text)
		if err := stream.RecvMsg(back); err != nil {
			return err
		}
		if back.GetValue() != word {
			return errors.New("said " + word + ", heard " + back.GetValue())
		}
		return nil
	}
}

func TestGRPCPassesWhole(t *testing.T) {
	t.Parallel()
	s, server := setCalls(t)
	conn := client(t, s, stage.ArgoCDHost)
	alice := as(t, s, signedIn(t, s, "alice"))

	t.Run("a call, its metadata and trailers", func(t *testing.T) {
		var header, trailer metadata.MD
		for _, word := range []string{"hello", strings.Repeat("x", 1<<20)} {
			if back, err := say(metadata.AppendToOutgoingContext(alice, "mine", "m", "mine-bin", "\x00\xff"), conn, word, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil || back != word {
				t.Fatalf("said %d bytes, heard %d: %v", len(word), len(back), err)
			}
		}
		for name, want := range map[string]string{"a-header": "h", "a-header-bin": "\x00\xff"} {
			if got := header.Get(name); len(got) != 1 || got[0] != want {
				t.Errorf("header %s: %q", name, got)
			}
		}
		for name, want := range map[string]string{"a-trailer": "t", "a-trailer-bin": "\xff\x00"} {
			if got := trailer.Get(name); len(got) != 1 || got[0] != want {
				t.Errorf("trailer %s: %q", name, got)
			}
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		for name, want := range map[string]string{"mine": "m", "mine-bin": "\x00\xff", "content-type": "application/grpc", "x-forwarded-email": "alice@example.com"} {
			if got := server.heard.Get(name); len(got) != 1 || got[0] != want {
				t.Errorf("the server heard %s: %q, want %q", name, got, want)
			}
		}
		if got := server.heard.Get("cookie"); len(got) != 0 {
			t.Errorf("the server heard the session: %d cookies", len(got))
		}
		if got := server.heard.Get("user-agent"); len(got) != 1 || !strings.HasPrefix(got[0], "grpc-go/") {
			t.Errorf("user-agent %q", got)
		}
	})
	t.Run("another name for the same codec", func(t *testing.T) {
		if _, err := say(alice, conn, "hello", grpc.CallContentSubtype("proto")); err != nil {
			t.Error(err)
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		if got := server.heard.Get("content-type"); len(got) != 1 || got[0] != "application/grpc" {
			t.Errorf("the server heard %q", got)
		}
	})
	t.Run("a stream from the server", func(t *testing.T) {
		stream, err := conn.NewStream(alice, &grpc.StreamDesc{ServerStreams: true}, echo+"Count")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(stream.SendMsg(wrapperspb.String("1000")), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			out := new(text)
			if err := stream.RecvMsg(out); err != nil || out.GetValue() != strconv.Itoa(i) {
				t.Fatalf("message %d is %q, %v", i, out.GetValue(), err)
			}
		}
		if err := stream.RecvMsg(new(text)); !errors.Is(err, io.EOF) {
			t.Errorf("its end is %v", err)
		}
	})
	t.Run("talk, word by word", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(alice, 10*time.Second) // far less if nothing waits for a buffer to fill
		defer cancel()
		stream, round := talk(t, ctx, conn)
		for i := range 200 {
			if err := round(strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(new(text)); !errors.Is(err, io.EOF) {
			t.Errorf("its end is %v", err)
		}
	})
	t.Run("a status with details", func(t *testing.T) {
		_, err := say(alice, conn, "fail not yet, 100 % sûr")
		got := status.Convert(err)
		if got.Code() != codes.FailedPrecondition || got.Message() != "not yet, 100 % sûr" || len(got.Details()) != 1 {
			t.Errorf("%v, %v", err, got.Details())
		}
	})
	t.Run("a deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(alice, time.Second)
		defer cancel()
		_, err := say(ctx, conn, "wait")
		hasStatus(t, "the client", err, codes.DeadlineExceeded)
		select {
		case <-server.ended:
		case <-alice.Done():
			t.Error("the server waits on")
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		if server.until <= 0 || server.until > time.Second {
			t.Errorf("the server was given %v", server.until)
		}
	})
	t.Run("a call that its client gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(alice)
		stream, round := talk(t, ctx, conn)
		if err := round("hello"); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := stream.RecvMsg(new(text)); status.Code(err) != codes.Canceled {
			t.Error(err)
		}
		eventually(t, "the stream to be closed", func() bool {
			n, err := s.Metric(t.Context(), "authgate_streams", "upstream", "calls")
			return err == nil && n == 0
		})
	})
	t.Run("JSON and gRPC-web on the same port", func(t *testing.T) {
		// A frame of data and one of trailers (gRPC-web): nothing to a proxy.
		frames := "\x00\x00\x00\x00\x07\n\x05hello\x80\x00\x00\x00\x0fgrpc-status:0\r\n"
		for kind, body := range map[string]string{"application/json": "{}", "application/grpc-web+proto": frames, "application/grpc-web-text": "AAAAAAcKBWhlbGxv"} {
			out, _ := metadata.FromOutgoingContext(alice)
			res := post(t, s.ArgoCD+echo+"Say", kind, body, out.Get("cookie")[0])
			back, err := io.ReadAll(res.Body)
			if err != nil || string(back) != body || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != kind || res.Header.Get("Proto") != "HTTP/1.1" {
				t.Errorf("%s: %d %q %q %v", kind, res.StatusCode, res.Header, back, err)
			}
			if _, err := say(alice, conn, "hello"); err != nil { // over its own connection, still
				t.Errorf("gRPC after %s: %v", kind, err)
			}
		}
	})
}

func post(t *testing.T, address, kind, body, cookie string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(address, stage.ArgoCDHost, "127.0.0.1", 1), bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = stage.ArgoCDHost
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Cookie", cookie)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestGRPCIsRefusedInItsOwnTerms(t *testing.T) {
	t.Parallel()
	s, server := setCalls(t)
	conn, anonymous := client(t, s, stage.ArgoCDHost), t.Context()
	bob, alice := as(t, s, signedIn(t, s, "bob")), as(t, s, signedIn(t, s, "alice"))

	_, err := say(anonymous, conn, "hello")
	hasStatus(t, "anonymous", err, codes.Unauthenticated)
	_, err = say(bob, conn, "hello")
	hasStatus(t, "bob", err, codes.PermissionDenied)
	_, err = say(alice, client(t, s, "other.localhost"), "hello")
	hasStatus(t, "another host", err, codes.Unimplemented)
	_, err = say(metadata.AppendToOutgoingContext(alice, "grpc-metadata-token", "x"), conn, "hello")
	if err != nil {
		t.Error(err)
	}
	if server.heard.Get("grpc-metadata-token") != nil {
		t.Error("the server heard a token that only its gateway may give")
	}

	// The server goes away in the middle of a talk, and comes back.
	stream, round := talk(t, alice, conn)
	if err := round("hello"); err != nil {
		t.Fatal(err)
	}
	server.stop()
	if code := status.Code(stream.RecvMsg(new(text))); code == codes.OK || code == codes.DeadlineExceeded {
		t.Errorf("the stream goes on without its server: %v", code)
	}
	_, err = say(alice, conn, "hello")
	hasStatus(t, "no server", err, codes.Unavailable)
	server.start(t, server.address)
	eventually(t, "the server again", func() bool {
		_, err := say(alice, conn, "hello")
		return err == nil
	})
}

func TestGRPCStreamIsCutWithAStatus(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cut  func(*stage.Stage, *visitor.Visitor)
		want codes.Code
	}{
		"a new policy denies it": {func(s *stage.Stage, _ *visitor.Visitor) {
			policy, err := os.ReadFile(s.Files.Policy)
			if err == nil {
				err = os.WriteFile(s.Files.Policy, append(policy, "\np, role:admin, calls, /**, *, deny\n"...), 0o600)
			}
			if err != nil {
				t.Error(err)
			}
		}, codes.PermissionDenied},
		"its session ends": {func(s *stage.Stage, v *visitor.Visitor) {
			if a, err := v.Submit(t.Context(), s.ArgoCD+"/oauth2/sign_out", url.Values{}); err != nil {
				t.Errorf("signing out: %d %v", a.Status, err)
			}
		}, codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := setCalls(t)
			who := signedIn(t, s, "alice")
			stream, round := talk(t, as(t, s, who), client(t, s, stage.ArgoCDHost))
			if err := round("hello"); err != nil {
				t.Fatal(err)
			}
			test.cut(s, who)
			hasStatus(t, name, stream.RecvMsg(new(text)), test.want)
			eventually(t, "the record of the cut", func() bool {
				records, err := s.Files.ReadAudit()
				for _, r := range records {
					if r["event"] == "stream_cut" && r["upstream"] == "calls" {
						return true
					}
				}
				return err != nil
			})
		})
	}
}

func TestGRPCHealthNeedsNoSession(t *testing.T) {
	t.Parallel()
	s, _ := setCalls(t)
	for _, host := range []string{stage.ArgoCDHost, "10.0.0.7"} {
		conn := client(t, s, host)
		health := grpc_health_v1.NewHealthClient(conn)
		for _, service := range []string{"", "example.Echo"} {
			got, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
			if err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("%s %q: %v, %v", host, service, got.GetStatus(), err)
			}
		}
		watch, err := health.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			_, err = watch.Recv()
		}
		hasStatus(t, "watch", err, codes.Unimplemented)
		if err := conn.Invoke(t.Context(), "/AWS.ALB/healthcheck", new(text), new(text)); err != nil {
			t.Errorf("%s, as an ALB asks: %v", host, err)
		}
	}
}
