"""What the person must hear and by when: deadlines, notices, feedback, mails."""
