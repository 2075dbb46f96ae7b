//go:build race

package hw_test

const raced = true
