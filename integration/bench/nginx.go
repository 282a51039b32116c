package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/example-org/authgate/integration/program"
)

// startNginx starts one worker without authentication. Where there is no nginx,
// its row is left out.
func (s *scene) startNginx(ctx context.Context, upstream string, progress io.Writer) error {
	c, err := s.runNginx(ctx, upstream, "nginx", "", "", progress)
	if c != nil {
		s.contenders = append(s.contenders, c)
	}
	return err
}

// startAskingNginx starts one worker that asks about each request, as docs/forward-auth.md says.
func (s *scene) startAskingNginx(ctx context.Context, upstream, authority, authPath, name string, progress io.Writer) (*contender, error) {
	ask := fmt.Sprintf(`location = /auth {
			internal;
			proxy_pass http://asked%s;
			proxy_pass_request_body off;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Content-Length "";
			proxy_set_header Host $http_host;
			proxy_set_header X-Original-Method $request_method;
			proxy_set_header X-Original-URL https://$http_host$request_uri;
			proxy_set_header X-Forwarded-Proto https;
		}`, authPath)
	return s.runNginx(ctx, upstream, name, fmt.Sprintf("upstream asked { server %s; keepalive 1024; keepalive_requests 100000000; }", authority), ask, progress)
}

func (s *scene) runNginx(ctx context.Context, upstream, name, asked, ask string, progress io.Writer) (*contender, error) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if nginx, err = exec.LookPath("/usr/sbin/nginx"); err != nil { // outside of most users' PATH
			_, _ = fmt.Fprintln(progress, "no nginx here, so no row of it; on Debian, as root: apt-get install --no-install-recommends nginx")
			return nil, nil
		}
	}
	address, err := s.freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	authRequest := ""
	if ask != "" {
		authRequest = "auth_request /auth;"
	}
	file := filepath.Join(s.dir, name+".conf")
	config := fmt.Sprintf(`daemon off;
master_process off;
worker_processes 1;
pid %[1]s/%[4]s.pid;
error_log %[1]s/%[4]s.log warn;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
	keepalive_requests 100000000;
	upstream behind { server %[3]s; keepalive 1024; keepalive_requests 100000000; }
	%[5]s
	server {
		listen %[2]s;
		%[6]s
		location / {
			%[7]s
			proxy_pass http://behind;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
		}
	}
}
`, s.dir, address, upstream, name, asked, ask, authRequest)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := s.start(ctx, address, program.Command{Name: name, Path: nginx, Args: []string{"-p", s.dir, "-c", file, "-e", filepath.Join(s.dir, name+".log")}})
	return &contender{name: name, address: address, process: p}, err
}
