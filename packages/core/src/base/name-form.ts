/** What actor types, methods, events, reminders and projections may be called: safe in subjects, record keys and metric labels. */
export const nameForm: RegExp = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
