//go:build !race

package session_test

const soakPeople = 50_000
