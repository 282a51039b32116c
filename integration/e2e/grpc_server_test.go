package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// text is the one message of the echo service.
type text = wrapperspb.StringValue

// calls is a server as argocd-server is one: gRPC and everything else on one
// port, distinguished once per connection, by its first bytes. Its gRPC is grpc-go.
type calls struct {
	address string
	stop    func()

	mu    sync.Mutex
	heard metadata.MD   // of the last call
	until time.Duration // the deadline that the last call had when it came; 0: none
	ended chan error    // what a call that waits for its end received
}

const echo = "/example.Echo/"

// echoService is what protoc would have written.
var echoService = grpc.ServiceDesc{
	ServiceName: "example.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(server any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(text)
		if err := decode(in); err != nil {
			return nil, err
		}
		return server.(*calls).say(ctx, in)
	}}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Count", ServerStreams: true, Handler: func(server any, stream grpc.ServerStream) error { return server.(*calls).count(stream) }},
		{StreamName: "Talk", ServerStreams: true, ClientStreams: true, Handler: func(server any, stream grpc.ServerStream) error { return server.(*calls).talk(stream) }},
	},
}

func serveCalls(t *testing.T) *calls {
	t.Helper()
	c := &calls{ended: make(chan error, 1)}
	c.start(t, "127.0.0.1:0")
	t.Cleanup(func() { c.stop() })
	return c
}

func (c *calls) start(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.address = l.Addr().String()
	inHTTP1, inHTTP2 := newBranch(l), newBranch(l)
	web, rpc := &http.Server{Handler: http.HandlerFunc(c.serveWeb)}, grpc.NewServer()
	rpc.RegisterService(&echoService, c)
	var all sync.WaitGroup
	all.Go(func() { _ = web.Serve(inHTTP1) })
	all.Go(func() { _ = rpc.Serve(inHTTP2) })
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { split(conn, inHTTP1, inHTTP2) })
		}
	})
	c.stop = sync.OnceFunc(func() {
		l.Close()
		rpc.Stop()
		web.Close()
		all.Wait()
	})
}

// say echoes its text, or does what it asks for.
func (c *calls) say(ctx context.Context, in *text) (*text, error) {
	c.mu.Lock()
	c.heard, _ = metadata.FromIncomingContext(ctx)
	c.until = 0
	if end, ok := ctx.Deadline(); ok {
		c.until = time.Until(end)
	}
	c.mu.Unlock()
	switch word, rest, _ := strings.Cut(in.GetValue(), " "); word {
	case "fail":
		s, err := status.New(codes.FailedPrecondition, rest).WithDetails(wrapperspb.String("a detail"))
		if err != nil {
			return nil, err
		}
		return nil, s.Err()
	case "wait":
		<-ctx.Done()
		c.ended <- ctx.Err()
		return nil, ctx.Err()
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("a-header", "h", "a-header-bin", "\x00\xff"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("a-trailer", "t", "a-trailer-bin", "\xff\x00"))
	return in, nil
}

// count sends as many messages as requested.
func (c *calls) count(stream grpc.ServerStream) error {
	in := new(text)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	n, err := strconv.Atoi(in.GetValue())
	for i := 0; i < n && err == nil; i++ {
		err = stream.SendMsg(wrapperspb.String(strconv.Itoa(i)))
	}
	return err
}

// talk says everything back, at once.
func (c *calls) talk(stream grpc.ServerStream) error {
	for {
		in := new(text)
		if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
}

// serveWeb echoes the body and its type: what gRPC-web looks like to a proxy.
func (c *calls) serveWeb(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Header().Set("Proto", r.Proto)
	_, _ = w.Write(body)
}

// split hands a connection to the server of its protocol (RFC 9113, 3.4).
func split(conn net.Conn, inHTTP1, inHTTP2 *branch) {
	reader := bufio.NewReader(conn)
	begin, _ := reader.Peek(3)
	to := inHTTP1
	if string(begin) == "PRI" {
		to = inHTTP2
	}
	to.give(&peeked{conn, reader})
}

// peeked is a connection of which something has been read.
type peeked struct {
	net.Conn
	reader *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.reader.Read(b) }

// branch is a listener that is given its connections.
type branch struct {
	net.Listener // for its address
	conns        chan net.Conn
	closed       chan struct{}
	once         sync.Once
}

func newBranch(l net.Listener) *branch {
	return &branch{Listener: l, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (b *branch) give(conn net.Conn) {
	select {
	case b.conns <- conn:
	case <-b.closed:
		conn.Close()
	}
}

func (b *branch) Accept() (net.Conn, error) {
	select {
	case conn := <-b.conns:
		return conn, nil
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

func (b *branch) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}
