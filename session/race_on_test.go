//go:build race

package session_test

// soakPeople are as many as the race detector gets through in a minute.
const soakPeople = 5_000
