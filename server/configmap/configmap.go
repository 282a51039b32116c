// Package configmap reads a policy from a ConfigMap, and watches it through the API server.
// It knows the protocol and the ConfigMap, and nothing of what the rows mean.
package configmap

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/backoff"
	"github.com/example-org/authgate/credential"
	"github.com/example-org/authgate/policy"
)

const (
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	minCycle     = time.Second      // between lists, when the server ends each watch at once
	listTimeout  = 10 * time.Second // of one request for the whole
)

// keySuffix is that of the keys that hold rows.
const keySuffix = ".csv"

// ConfigMap is one in the cluster. Its methods are safe for concurrent use; Run is called once.
type ConfigMap struct {
	Namespace, Name string

	api      api
	log      *slog.Logger
	current  atomic.Pointer[content]
	watching atomic.Bool
	changed  func() // is told that Read may return something else
}

// content is what the ConfigMap holds, or why that is unknown.
type content struct {
	sources []policy.Source
	err     error
}

// New sends no request, but looks up the cluster: an empty namespace is authgate's own.
func New(cluster *credential.Cluster, namespace, name string, log *slog.Logger) (*ConfigMap, error) {
	own, err := cluster.Namespace()
	if err != nil {
		return nil, err
	}
	if namespace == "" {
		namespace = own
	}
	client, base, err := cluster.Connect()
	if err != nil {
		return nil, err
	}
	return &ConfigMap{
		Namespace: namespace, Name: name, log: log, changed: func() {},
		api: api{client: client, base: base, namespace: namespace, name: name},
	}, nil
}

// OnChange has Run call f whenever Read may return something else. It must be called before Run.
func (m *ConfigMap) OnChange(f func()) { m.changed = f }

// Path names it in logs and faults.
func (m *ConfigMap) Path() string { return m.Namespace + "/" + m.Name }

// Read gives the rows as they were last seen, in order of keys, or the reason why there are
// none. While the API server cannot be reached, it gives what was seen before.
func (m *ConfigMap) Read() ([]policy.Source, error) {
	c := m.current.Load()
	if c == nil {
		return nil, &UnreachableError{m.Path(), "it has not been asked yet"}
	}
	return c.sources, c.err
}

// Watching reports whether changes are seen at the moment.
func (m *ConfigMap) Watching() bool { return m.watching.Load() }

// Load asks the API server once. Its errors are of this package.
func (m *ConfigMap) Load(ctx context.Context) error {
	_, err := m.list(ctx)
	if err != nil {
		return err
	}
	_, err = m.Read()
	return err
}

// Run keeps what Read gives current until ctx ends. It lists, watches until the watch ends,
// and lists again: nothing is missed, however a watch ends.
func (m *ConfigMap) Run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		started := time.Now()
		err := m.listAndWatch(ctx, func() {
			if failures > 0 {
				m.log.Info("the policy's ConfigMap is watched again", "configMap", m.Path(), "failed", failures)
			}
			failures = 0
		})
		m.watching.Store(false)
		pause := minCycle - time.Since(started)
		if err != nil && ctx.Err() == nil {
			if failures++; failures == 1 {
				m.log.Error("cannot watch the policy's ConfigMap; the last good policy stays in force",
					"configMap", m.Path(), "error", err)
			}
			pause = backoff.Delay(firstBackoff, maxBackoff, failures)
		}
		wait(ctx, pause)
	}
}

func wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// listAndWatch returns nil when the server ended the watch, which it does every few minutes,
// and when it has forgotten the version from which to watch. It calls started when the watch
// has begun.
func (m *ConfigMap) listAndWatch(ctx context.Context, started func()) error {
	version, err := m.list(ctx)
	if err != nil {
		return err
	}
	err = m.api.watch(ctx, version, func() {
		m.watching.Store(true)
		started()
	}, m.set)
	if errors.Is(err, errExpiredVersion) {
		return nil
	}
	return m.note(err)
}

func (m *ConfigMap) list(ctx context.Context) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	found, version, err := m.api.list(ctx)
	if err != nil {
		return "", m.note(err)
	}
	m.set(found)
	return version, nil
}

// note remembers an error that an operator has to correct. That the API server cannot be
// reached says nothing about the policy.
func (m *ConfigMap) note(err error) error {
	var unreachable *UnreachableError
	if err != nil && !errors.As(err, &unreachable) {
		m.store(&content{err: err})
	}
	return err
}

// set takes what the API server says; nil: the ConfigMap does not exist.
func (m *ConfigMap) set(o *object) {
	switch {
	case o == nil:
		m.store(&content{err: &NotFoundError{m.Path()}})
	default:
		sources := o.sources(m.Path())
		if len(sources) == 0 {
			m.store(&content{err: &NoKeysError{m.Path()}})
			return
		}
		m.store(&content{sources: sources})
	}
}

func (m *ConfigMap) store(c *content) {
	m.current.Store(c)
	m.changed()
}

// sources are the keys that hold rows. A key that is no text is among them, and the policy's
// parser rejects it: rows must not be missing silently.
func (o *object) sources(path string) []policy.Source {
	var sources []policy.Source
	add := func(key string, data []byte) {
		if strings.HasSuffix(key, keySuffix) {
			sources = append(sources, policy.Source{Name: path + "/" + key, Data: data})
		}
	}
	for key, text := range o.Data {
		add(key, []byte(text))
	}
	for key, data := range o.BinaryData {
		add(key, data)
	}
	slices.SortFunc(sources, func(a, b policy.Source) int { return strings.Compare(a.Name, b.Name) })
	return sources
}
