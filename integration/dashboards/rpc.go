package dashboards

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// message is what every call of the sample takes and gives: a name, and JSON.
type message = wrapperspb.StringValue

// applicationService is what protoc would have written of the calls that `argocd app
// list`, `get`, `sync` and `wait` make (server/application/application.proto).
var applicationService = grpc.ServiceDesc{
	ServiceName: "application.ApplicationService",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{unary("List"), unary("Get"), unary("Sync")},
	Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, Handler: func(server any, stream grpc.ServerStream) error {
		return server.(*argoCD).watch(stream)
	}}},
}

// versionService is what the command asks before anything else, without a token.
var versionService = grpc.ServiceDesc{
	ServiceName: "version.VersionService",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{unary("Version")},
}

func unary(name string) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(server any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(message)
		if err := decode(in); err != nil {
			return nil, err
		}
		return intercept(ctx, in, &grpc.UnaryServerInfo{Server: server, FullMethod: name}, func(ctx context.Context, _ any) (any, error) {
			return server.(*argoCD).rpc(ctx, name, in.GetValue())
		})
	}}
}

func (d *argoCD) newRPC() *grpc.Server {
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if info.FullMethod != "Version" { // AuthFuncOverride of that service
			if err := d.mayCall(ctx); err != nil {
				return nil, err
			}
		}
		return next(ctx, in)
	}))
	s.RegisterService(&applicationService, d)
	s.RegisterService(&versionService, d)
	return s
}

// mayCall is the credential of a call, in its metadata.
func (d *argoCD) mayCall(ctx context.Context) error {
	if d.check == nil {
		return nil
	}
	sent, _ := metadata.FromIncomingContext(ctx)
	r := &http.Request{URL: &url.URL{Path: "/"}, Header: http.Header{"Content-Type": {"application/grpc"}}}
	for _, name := range []string{"token", "authorization", "cookie"} {
		if values := sent.Get(name); len(values) > 0 {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if _, refused := d.check(r.WithContext(ctx)); refused != nil {
		return status.Error(codes.Unauthenticated, refused.Message)
	}
	return nil
}

func (d *argoCD) rpc(_ context.Context, name, of string) (*message, error) {
	var answer any
	switch name {
	case "Version":
		answer = version
	case "List":
		answer = d.all()
	case "Get":
		answer = d.find(of)
	case "Sync":
		answer = d.syncNow(of)
	}
	if a, ok := answer.(*application); ok && a == nil {
		return nil, status.Error(codes.NotFound, "application not found")
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return wrapperspb.String(string(text)), nil
}

func (d *argoCD) watch(stream grpc.ServerStream) error {
	if err := d.mayCall(stream.Context()); err != nil {
		return err
	}
	in := new(message)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	events := d.feed.join()
	defer d.feed.leave(events)
	for _, event := range d.now() {
		if err := stream.SendMsg(wrapperspb.String(string(event))); err != nil {
			return err
		}
	}
	d.feed.follow(stream.Context(), events, func(event []byte) bool {
		return event == nil || stream.SendMsg(wrapperspb.String(string(event))) == nil
	})
	return nil
}
