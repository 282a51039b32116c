package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/server"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/text"
)

// storeTimeout bounds how long the session store may take to answer.
const storeTimeout = 15 * time.Second

func newSession() *cobra.Command {
	return cli.Group("session", "List and revoke sessions, if session.store is redis", newSessionList(), newSessionShow(),
		newSessionRevoke())
}

// sessionFlags are those of every session command.
type sessionFlags struct {
	config string
	output cli.Output
	user   string
	all    bool
}

func (f *sessionFlags) add(cmd *cobra.Command) {
	cli.AddConfigFlag(cmd, &f.config)
	f.output.AddFlag(cmd)
}

func (f *sessionFlags) addFilter(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.user, "user", "", "sessions of the user with this `EMAIL`")
	cmd.Flags().BoolVar(&f.all, "all", false, "the sessions of all users")
	cli.Exclusive(cmd, "user", "all")
}

// filter gives what is selected; nothing is, where nothing is said.
func (f *sessionFlags) filter(cmd *cobra.Command, args []string) (session.Filter, error) {
	user := cmd.Flags().Changed("user")
	switch {
	case user && f.user == "":
		return session.Filter{}, errors.New("--user is empty; name an e-mail address, or leave the flag out")
	case len(args) == 1 && args[0] == "":
		return session.Filter{}, errors.New("the id is empty; `authgate session list` shows the ids")
	case len(args) == 1 && (user || f.all):
		return session.Filter{}, errors.New("a session is named, and --user or --all; write one of them")
	case len(args) == 1:
		return session.Filter{ID: args[0]}, nil
	default:
		return session.Filter{Email: f.user, All: f.all}, nil
	}
}

func newSessionList() *cobra.Command {
	var flags sessionFlags
	cmd := &cobra.Command{
		Use:   "list [--config FILE] [--user EMAIL]",
		Short: "List the active sessions",
		Long: "List the sessions in the Redis that a configuration names. Use it to see who is signed\n" +
			"in, and to find the id that `authgate session revoke` takes. Tokens are not printed. A\n" +
			"session id cannot be used to sign in." +
			cli.ExitCodes{
				0: "there are sessions",
				1: "there are none",
				3: "the configuration does not load or has no Redis, or Redis is unavailable",
			}.Table(),
		Example: "  authgate session list --config authgate.yaml --user alice@example.com",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := flags.filter(cmd, args)
			if err != nil {
				return err
			}
			filter.All = filter.Email == ""
			found, err := flags.find(cmd, filter)
			if err != nil {
				return err
			}
			return flags.render(cmd, admin.SessionList{Sessions: found}, len(found),
				func(s *cli.Printer) { printSessions(s, found) })
		},
	}
	flags.add(cmd)
	flags.addFilter(cmd)
	return cmd
}

func newSessionShow() *cobra.Command {
	var flags sessionFlags
	cmd := &cobra.Command{
		Use:   "show [--config FILE] ID",
		Short: "Show one session",
		Long: "Show user, times and groups of one session. `authgate session list` prints the ids." +
			cli.ExitCodes{
				0: "the session is active",
				1: "there is no such session",
				3: "the configuration does not load or has no Redis, or Redis is unavailable",
			}.Table(),
		Example: "  authgate session show --config authgate.yaml 7bVn0hPq3mXkZcY2",
		Args:    cli.Arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := flags.filter(cmd, args)
			if err != nil {
				return err
			}
			found, err := flags.find(cmd, filter)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return flags.render(cmd, nil, 0, printNoSession)
			}
			return flags.render(cmd, found[0], 1, func(s *cli.Printer) { printSession(s, found[0]) })
		},
	}
	flags.add(cmd)
	return cmd
}

func newSessionRevoke() *cobra.Command {
	var flags sessionFlags
	cmd := &cobra.Command{
		Use:   "revoke [--config FILE] (ID | --user EMAIL | --all)",
		Short: "Revoke sessions on every replica",
		Long: "Revoke sessions, for example after a laptop was lost. Every replica applies it within 2\n" +
			"seconds, and also ends the open streams of these sessions. The user can sign in again\n" +
			"unless the policy denies it." +
			cli.ExitCodes{
				0: "sessions were revoked",
				1: "there were none",
				3: "the configuration does not load or has no Redis, or Redis is unavailable",
			}.Table(),
		Example: "  authgate session revoke --config authgate.yaml --user alice@example.com",
		Args:    cli.Arguments("[ID]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := flags.filter(cmd, args)
			if err != nil {
				return err
			}
			if filter == (session.Filter{}) {
				return errors.New("no session is named; write its id, --user EMAIL, or --all")
			}
			var revoked int
			err = flags.withStore(cmd, func(ctx context.Context, store *redisstore.Store) (err error) {
				revoked, err = store.Revoke(ctx, filter)
				return err
			})
			if err != nil {
				return err
			}
			return flags.render(cmd, admin.Revocation{Revoked: revoked, Scope: "everywhere"}, revoked, func(s *cli.Printer) {
				s.Line("%s ended", cli.Plural(revoked, "session"))
			})
		},
	}
	flags.add(cmd)
	flags.addFilter(cmd)
	return cmd
}

// render answers, with exit code 1 where nothing was found.
func (f *sessionFlags) render(cmd *cobra.Command, object any, found int, print func(*cli.Printer)) error {
	if err := f.output.Render(cmd, object, print); err != nil {
		return err
	}
	if found == 0 {
		return cli.ErrNo
	}
	return nil
}

func (f *sessionFlags) find(cmd *cobra.Command, filter session.Filter) ([]admin.ListedSession, error) {
	var found []session.Session
	err := f.withStore(cmd, func(ctx context.Context, store *redisstore.Store) (err error) {
		found, err = store.List(ctx, filter)
		return err
	})
	return admin.ListSessions(found), err
}

// withStore opens the store that the configuration names, as little of which is read as
// is needed, and asks it once.
func (f *sessionFlags) withStore(cmd *cobra.Command, do func(context.Context, *redisstore.Store) error) error {
	if err := f.output.Check(); err != nil {
		return err
	}
	c, err := config.Load(f.config)
	if err != nil {
		return cli.LoadError(err)
	}
	if c.Session.Store != config.StoreRedis {
		return cli.LoadError(fmt.Errorf("%s: session.store is cookie: sessions are in the browsers. "+
			"They cannot be listed, and one of them cannot be ended everywhere; "+
			"to end all of them, put a new key alone into %s; to list them and end some, use session.store: redis",
			f.config, c.Session.Keys.Source()))
	}
	store, err := server.OpenSessionStore(c)
	if err != nil {
		return cli.LoadError(err)
	}
	defer store.Close()
	ctx, stop := context.WithTimeout(cmd.Context(), storeTimeout)
	defer stop()
	if err := do(ctx, store); err != nil {
		return cli.LoadError(fmt.Errorf("session.redis.url: %s: %w", c.Session.Redis.URL.Source(), err))
	}
	return nil
}

func printNoSession(s *cli.Printer) { s.Line("there is no such session; it may have ended") }

func printSessions(s *cli.Printer, found []admin.ListedSession) {
	if len(found) == 0 {
		s.Line("there are no sessions")
		return
	}
	rows := [][]string{{
		s.Dim("ID"), s.Dim("USER"), s.Dim("CREATED"), s.Dim("LAST USED"), s.Dim("EXPIRES"),
		s.Dim("GROUPS"),
	}}
	for _, one := range found {
		rows = append(rows, []string{
			one.ID, text.Escape(displayName(one)), formatTime(one.CreatedAt), formatTime(one.LastUsed), formatTime(one.Expires),
			strconv.Itoa(len(one.Groups)),
		})
	}
	s.Table(rows)
}

func printSession(s *cli.Printer, one admin.ListedSession) {
	rows := [][]string{
		{"id", one.ID},
		{"user", text.Escape(displayName(one))},
		{"subject", text.Escape(one.Subject)},
		{"issuer", text.Escape(one.Issuer)},
		{"created", formatTime(one.CreatedAt)},
		{"last used", formatTime(one.LastUsed)},
		{"expires", formatTime(one.Expires)},
		{"groups read", formatTime(one.Refreshed)},
	}
	for i, group := range one.Groups {
		label := ""
		if i == 0 {
			label = "groups"
		}
		rows = append(rows, []string{label, text.Escape(group)})
	}
	if one.DroppedGroups > 0 {
		rows = append(rows, []string{"groups dropped", cli.Plural(one.DroppedGroups, "group") +
			" that the policy does not name"})
	}
	s.Table(rows)
}

// displayName is the best available name of a user.
func displayName(one admin.ListedSession) string {
	for _, name := range []string{one.Email, one.Username} {
		if name != "" {
			return name
		}
	}
	return one.Subject
}

// formatTime writes a time to the second, in UTC: more precision has no use here.
func formatTime(t time.Time) string { return t.UTC().Format(time.DateTime) + "Z" }
