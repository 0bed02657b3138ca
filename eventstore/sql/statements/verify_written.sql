-- How many transactions ago each row of a range was written, and the row after it.
SELECT position, age(xmin), lead(age(xmin)) OVER (ORDER BY position)
FROM fidelog.events
WHERE tenant_id = %(tenant)s AND position >= %(first)s AND position <= %(last)s
ORDER BY position
