/* version.h - the one place that says which version this is. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define ML_VERSION "0.1.0"
#define ML_DATE "2026-11-21"

#endif
