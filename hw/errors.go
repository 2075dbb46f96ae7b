package hw

import (
	"errors"
	"io/fs"
	"syscall"
)

// Sentinels of parsing, also used as reasons, so they are plain sentences.
var (
	errEmpty   = errors.New("the file is empty")
	errGarbage = errors.New("the file does not hold what it should")
	errMissing = errors.New("the file lacks this value")
	errRange   = errors.New("the value is beyond what is possible")
)

// offline is what a sensor's zone says while its part of the chip has no power.
const offline = "the sensor is offline"

// reason puts an error into the technician's words. It allocates nothing for
// the errors that sensors give.
func reason(err error) string {
	var no syscall.Errno
	switch e := err.(type) {
	case syscall.Errno:
		no = e
	default:
		switch {
		case err == nil:
			return ""
		case errors.Is(err, fs.ErrNotExist):
			no = syscall.ENOENT
		case errors.Is(err, fs.ErrPermission):
			no = syscall.EACCES
		default:
			return err.Error()
		}
	}
	switch no {
	case syscall.ENOENT, syscall.ENOTDIR:
		return "not there"
	case syscall.EACCES, syscall.EPERM:
		return "permission denied"
	case syscall.EAGAIN:
		return offline
	case syscall.EIO, syscall.ENODEV, syscall.ENXIO, syscall.ETIMEDOUT, syscall.EINVAL, syscall.ENODATA:
		return "the device does not answer"
	case syscall.EISDIR:
		return "a folder where a file should be"
	case syscall.ELOOP, syscall.EXDEV:
		return "a link that leads nowhere"
	}
	return no.Error()
}
